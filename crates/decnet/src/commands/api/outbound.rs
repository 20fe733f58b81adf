//! What the API asks of the dispatcher: where a URL leads, and a test attempt.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use decnet_api::{Outbound, Refused, Tested};
use decnet_core::delivery::{Verdict, classify};
use decnet_core::limits::MAX_API_TESTS;
use decnet_core::redact::EndpointUrl;
use decnet_dispatch::sender::Guard;
use decnet_store::catalog::Stored;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::commands::subscription::test::{ping, told};
use crate::config::Config;
use crate::failure;

/// How long a host name gets to resolve. One that does not is let through: it is checked again when it is dialled.
const LOOKUP_PATIENCE: Duration = Duration::from_secs(5);

/// The dispatcher, as it is configured here.
pub(super) struct Dispatch {
    config: Arc<Config>,
    guard: Guard,
    tests: Arc<Semaphore>,
}

impl Dispatch {
    pub(super) fn new(config: Config) -> Self {
        let guard = Guard::new(config.egress.allow_private, config.egress.allow.clone());
        Self { config: Arc::new(config), guard, tests: Arc::new(Semaphore::new(MAX_API_TESTS)) }
    }
}

impl Outbound for Dispatch {
    fn check(&self, url: EndpointUrl) -> BoxFuture<'static, Result<(), Refused>> {
        let guard = self.guard.clone();
        async move {
            for address in addresses(&url).await {
                guard.check(address).map_err(|forbidden| Refused(forbidden.to_string()))?;
            }
            Ok(())
        }
        .boxed()
    }

    fn test(&self, stored: Box<Stored>, triggered_by: Arc<str>) -> BoxFuture<'static, Tested> {
        let (config, tests) = (Arc::clone(&self.config), Arc::clone(&self.tests));
        async move {
            let turn = tests.acquire_owned().await;
            // The turn is over with the test, though nobody may wait for it any more.
            let tested = tokio::task::spawn_blocking(move || {
                let tested = test(&stored, &triggered_by, &config);
                drop(turn);
                tested
            })
            .await;
            tested.unwrap_or_else(|error| failed(error.to_string()))
        }
        .boxed()
    }
}

/// The addresses that a URL leads to now, as far as can be told.
async fn addresses(url: &EndpointUrl) -> Vec<IpAddr> {
    let name = match url.host() {
        url::Host::Ipv4(address) => return vec![address.into()],
        url::Host::Ipv6(address) => return vec![address.into()],
        url::Host::Domain(name) => name.to_owned(),
    };
    let found = tokio::time::timeout(LOOKUP_PATIENCE, tokio::net::lookup_host((name, 0))).await;
    found.ok().and_then(Result::ok).into_iter().flatten().map(|address| address.ip()).collect()
}

/// An attempt stays on one thread, which therefore has a runtime of its own.
fn test(stored: &Stored, triggered_by: &str, config: &Config) -> Tested {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let attempted =
        runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(ping(stored, triggered_by, config)));
    match attempted {
        Ok(attempted) => {
            let (status_code, error) = told(&attempted);
            let delivered = classify(&attempted.outcome) == Verdict::Delivered;
            Tested { delivered, status_code, error }
        }
        Err(error) => failed(failure::told(&error)),
    }
}

fn failed(error: String) -> Tested {
    Tested { delivered: false, status_code: None, error: Some(error) }
}
