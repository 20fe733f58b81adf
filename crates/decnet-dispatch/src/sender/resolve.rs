//! Host names become addresses: one look-up per name at a time, shared by all who wait for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use rustc_hash::FxHashMap;

use super::sockets::{Shortage, Sockets};
use super::texts;

/// Who turns host names into addresses. Literal addresses in a URL ask nobody.
#[derive(Debug, Clone, Default)]
pub enum Resolver {
    /// The operating system, asked afresh for each new connection.
    #[default]
    System,
    /// This table alone; a name that is not in it does not resolve.
    Fixed(BTreeMap<String, Vec<IpAddr>>),
}

/// Why a name has no address; shared by all who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Error {
    #[error("the look-up of {host} failed: {}", texts::lookup(source))]
    Lookup {
        host: Box<str>,
        #[source]
        source: Rc<io::Error>,
    },
    #[error("the look-up of {0} failed: the name has no address")]
    Nothing(Box<str>),
    #[error(transparent)]
    Shortage(#[from] Shortage),
}

type Answer = Result<Rc<[IpAddr]>, Error>;
type Lookup = Shared<LocalBoxFuture<'static, Answer>>;

/// Look-ups under way. A DNS server that is dead costs one blocking thread and one socket per name, not per request.
pub(super) struct Lookups {
    resolver: Resolver,
    sockets: Sockets,
    under_way: Rc<RefCell<FxHashMap<Box<str>, Lookup>>>,
}

impl Lookups {
    /// A look-up takes one of `sockets` while it runs.
    pub(super) fn new(resolver: Resolver, sockets: Sockets) -> Self {
        Self { resolver, sockets, under_way: Rc::default() }
    }

    /// All addresses of a name, at least one.
    pub(super) async fn resolve(&self, host: &str) -> Answer {
        match &self.resolver {
            Resolver::Fixed(table) => answer(host, table.get(host).cloned().unwrap_or_default()),
            Resolver::System => self.join(host).await,
        }
    }

    fn join(&self, host: &str) -> Lookup {
        if let Some(lookup) = self.under_way.borrow().get(host) {
            return lookup.clone();
        }
        let lookup = self.start(host.into());
        self.under_way.borrow_mut().insert(host.into(), lookup.clone());
        lookup
    }

    /// Runs as a task of its own: it ends, and leaves the table, even if all who waited have gone.
    fn start(&self, host: Box<str>) -> Lookup {
        let (under_way, sockets, asked) = (Rc::clone(&self.under_way), self.sockets.clone(), host.clone());
        let task = tokio::task::spawn_local(async move {
            let found = ask_system(&asked, &sockets).await;
            under_way.borrow_mut().remove(&asked);
            found
        });
        let interrupted = move |error| failed(&host, io::Error::other(error));
        task.map(move |ended| ended.unwrap_or_else(|error| Err(interrupted(error)))).boxed_local().shared()
    }
}

async fn ask_system(host: &str, sockets: &Sockets) -> Answer {
    let _permit = sockets.permit()?;
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| failed(host, error))?;
    answer(host, found.map(|address| address.ip()).collect())
}

fn failed(host: &str, error: io::Error) -> Error {
    match Shortage::of(&error) {
        Some(shortage) => shortage.into(),
        None => Error::Lookup { host: host.into(), source: Rc::new(error) },
    }
}

fn answer(host: &str, addresses: Vec<IpAddr>) -> Answer {
    if addresses.is_empty() { Err(Error::Nothing(host.into())) } else { Ok(addresses.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_who_ask_for_a_name_share_one_look_up() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let lookups = Lookups::new(Resolver::System, Sockets::new(8));
            let (first, second) = (lookups.join("localhost"), lookups.join("localhost"));
            drop(lookups.join("127.0.0.1"));
            assert!(first.ptr_eq(&second));
            assert_eq!(lookups.under_way.borrow().len(), 2);
            assert_eq!(first.await.unwrap(), second.await.unwrap());
            while !lookups.under_way.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
        });
    }
}
