//! The lookup of host names: one at a time per name, shared by all requests that wait for it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared};
use rustc_hash::FxHashMap;

use crate::sockets::{Shortage, SocketLimit};
use crate::texts;

/// The source of the addresses of host names. Literal addresses in a URL need no lookup.
#[derive(Debug, Clone, Default)]
pub enum Resolver {
    /// The operating system, queried for each new connection.
    #[default]
    System,
    /// This table only; other names do not resolve.
    Fixed(BTreeMap<String, Vec<IpAddr>>),
}

/// The reason why a lookup failed, shared by all requests that waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    #[error("lookup of {host} failed: {}", texts::lookup(source))]
    Lookup {
        host: Box<str>,
        #[source]
        source: Rc<io::Error>,
    },
    #[error("lookup of {0} failed: the name has no address")]
    NoAddress(Box<str>),
    #[error(transparent)]
    Shortage(#[from] Shortage),
}

type LookupResult = Result<Rc<[IpAddr]>, Error>;
type Lookup = Shared<LocalBoxFuture<'static, LookupResult>>;

/// The lookups in progress. A dead DNS server costs one blocking thread and one socket per name, not per request.
pub(crate) struct Lookups {
    resolver: Resolver,
    sockets: SocketLimit,
    in_progress: Rc<RefCell<FxHashMap<Box<str>, Lookup>>>,
}

impl Lookups {
    /// Creates the table. A lookup counts as one of `sockets` while it runs.
    pub(crate) fn new(resolver: Resolver, sockets: SocketLimit) -> Self {
        Self { resolver, sockets, in_progress: Rc::default() }
    }

    /// Returns all addresses of a name, at least one.
    ///
    /// # Errors
    /// The name has no address, the lookup failed, or this host lacks a socket for it.
    pub(crate) async fn resolve(&self, host: &str) -> LookupResult {
        match &self.resolver {
            Resolver::Fixed(table) => non_empty(host, table.get(host).cloned().unwrap_or_default()),
            Resolver::System => self.join(host).await,
        }
    }

    fn join(&self, host: &str) -> Lookup {
        if let Some(lookup) = self.in_progress.borrow().get(host) {
            return lookup.clone();
        }
        let lookup = self.start(host.into());
        self.in_progress.borrow_mut().insert(host.into(), lookup.clone());
        lookup
    }

    /// Starts a lookup as a task of its own, so that it completes and leaves the table even if no request is waiting any longer.
    fn start(&self, host: Box<str>) -> Lookup {
        let (in_progress, sockets, name) = (Rc::clone(&self.in_progress), self.sockets.clone(), host.clone());
        let task = tokio::task::spawn_local(async move {
            let found = query_system(&name, &sockets).await;
            in_progress.borrow_mut().remove(&name);
            found
        });
        let interrupted = move |error| failed(&host, io::Error::other(error));
        task.map(move |ended| ended.unwrap_or_else(|error| Err(interrupted(error)))).boxed_local().shared()
    }
}

async fn query_system(host: &str, sockets: &SocketLimit) -> LookupResult {
    let _permit = sockets.acquire()?;
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| failed(host, error))?;
    non_empty(host, found.map(|address| address.ip()).collect())
}

fn failed(host: &str, error: io::Error) -> Error {
    match Shortage::of(&error) {
        Some(shortage) => shortage.into(),
        None => Error::Lookup { host: host.into(), source: Rc::new(error) },
    }
}

fn non_empty(host: &str, addresses: Vec<IpAddr>) -> LookupResult {
    if addresses.is_empty() { Err(Error::NoAddress(host.into())) } else { Ok(addresses.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_requests_share_one_lookup_per_name() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let lookups = Lookups::new(Resolver::System, SocketLimit::new(8));
            let (first, second) = (lookups.join("localhost"), lookups.join("localhost"));
            drop(lookups.join("127.0.0.1"));
            assert!(first.ptr_eq(&second));
            assert_eq!(lookups.in_progress.borrow().len(), 2);
            assert_eq!(first.await.unwrap(), second.await.unwrap());
            while !lookups.in_progress.borrow().is_empty() {
                tokio::task::yield_now().await;
            }
        });
    }
}
