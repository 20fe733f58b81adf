//! Outbound operations of the API: checks of the addresses of a URL and of credentials, and test attempts.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use decnet_api::{Outbound, Refused, Tested};
use decnet_core::duration;
use decnet_core::limits::{API_TEST_TIMEOUT, MAX_API_TESTS};
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::Credentials;
use decnet_sender::check_credentials;
use decnet_store::catalog::StoredSubscription;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::commands::shared::test_event::{ping, tested};
use crate::config::Config;
use crate::failure;

/// The timeout of a name lookup. A name that does not resolve in time is accepted, because every attempt checks it again.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The outbound operations with this process's configuration.
pub(super) struct Dispatch {
    config: Arc<Config>,
    tests: Arc<Semaphore>,
}

impl Dispatch {
    pub(super) fn new(config: Config) -> Self {
        Self { config: Arc::new(config), tests: Arc::new(Semaphore::new(MAX_API_TESTS)) }
    }
}

impl Outbound for Dispatch {
    fn check(&self, url: EndpointUrl) -> BoxFuture<'static, Result<(), Refused>> {
        let config = Arc::clone(&self.config);
        async move {
            for address in addresses(&url).await {
                config
                    .worker
                    .sender
                    .guard
                    .check(address)
                    .map_err(|forbidden| Refused(forbidden.to_string()))?;
            }
            Ok(())
        }
        .boxed()
    }

    fn check_credentials(&self, credentials: &Credentials) -> Result<(), Refused> {
        check_credentials(credentials).map_err(|problem| Refused(problem.to_string()))
    }

    fn test(&self, stored: Box<StoredSubscription>, triggered_by: Arc<str>) -> BoxFuture<'static, Tested> {
        let (config, tests) = (Arc::clone(&self.config), Arc::clone(&self.tests));
        let deadline = Instant::now() + API_TEST_TIMEOUT;
        async move {
            let Ok(permit) = timeout_at(deadline, tests.acquire_owned()).await else {
                return failed("too many tests are running; try again later".into());
            };
            // The permit is held until the test ends, even if the client has disconnected.
            let test = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                test(&stored, &triggered_by, &config, deadline)
            });
            let tested = test.await.map_err(anyhow::Error::from).flatten();
            tested.unwrap_or_else(|error| failed(failure::format_error(&error)))
        }
        .boxed()
    }
}

/// Returns the addresses to which the URL's host resolves now. Empty if the lookup fails.
async fn addresses(url: &EndpointUrl) -> Vec<IpAddr> {
    let name = match url.host() {
        url::Host::Ipv4(address) => return vec![address.into()],
        url::Host::Ipv6(address) => return vec![address.into()],
        url::Host::Domain(name) => name.to_owned(),
    };
    let found = timeout(LOOKUP_TIMEOUT, tokio::net::lookup_host((name, 0))).await;
    found.ok().and_then(Result::ok).into_iter().flatten().map(|address| address.ip()).collect()
}

/// Sends a test event. An attempt must remain on one thread, so it gets a current-thread runtime.
fn test(
    stored: &StoredSubscription,
    triggered_by: &str,
    config: &Config,
    deadline: Instant,
) -> anyhow::Result<Tested> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let attempted =
        runtime.block_on(async { timeout_at(deadline, ping(stored, triggered_by, config)).await });
    // A pending name lookup must not keep the permit.
    runtime.shutdown_background();
    let late = |_| {
        let limit = duration::show(API_TEST_TIMEOUT);
        anyhow::anyhow!(
            "no answer within {limit}, the limit of a test over HTTP; `decnet subscription test` waits for the \
             subscription's timeout"
        )
    };
    let (attempted, verdict) = attempted.map_err(late)??;
    Ok(tested(&attempted, &verdict))
}

fn failed(error: String) -> Tested {
    Tested { delivered: false, status_code: None, error: Some(error) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use decnet_core::redact::Secret;
    use decnet_core::settings::Settings;
    use decnet_core::topic::Pattern;
    use decnet_store::catalog::{Catalog, Create, NewSubscription};

    use super::*;
    use crate::config::{self, Inputs};
    use crate::receiver::now;

    #[test]
    fn test_ends_at_its_limit_despite_a_longer_timeout() {
        let dir = tempfile::tempdir().unwrap();
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut catalog = Catalog::open(&dir.path().join("decnet.db"), Create::IfMissing).unwrap();
        let new = NewSubscription {
            name: "slow".into(),
            url: EndpointUrl::new(&format!("http://{}/", silent.local_addr().unwrap())).unwrap(),
            secret: Secret::new("a secret of the tests"),
            patterns: vec![Pattern::new(">").unwrap()],
            enabled: true,
            settings: serde_json::from_str::<Settings>(r#"{"timeout": "5m"}"#).unwrap(),
        };
        catalog.create(&new, now()).unwrap();
        let stored = catalog.load().unwrap().subscriptions.remove(0);
        let allow = ("DECNET_WEBHOOK_ALLOW_CIDRS".to_owned(), "127.0.0.1/32".to_owned());
        let config = config::find(&Inputs { environment: [allow].into(), ..Inputs::default() }).config;
        let late = test(&stored, "test", &config, Instant::now() + Duration::from_millis(100)).unwrap_err();
        assert!(late.to_string().starts_with("no answer within 25s"), "{late}");
    }
}
