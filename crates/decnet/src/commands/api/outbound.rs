//! Outbound operations of the API: checks of the addresses of a URL and of credentials, test attempts, and previews.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use decnet_api::{Outbound, PreviewedEvent, Refused, TestEvent, TestReport, Tested};
use decnet_core::duration;
use decnet_core::event::Event;
use decnet_core::limits::{API_TEST_TIMEOUT, MAX_API_PREVIEWS, MAX_API_TESTS, PREVIEW_TIMEOUT};
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::Credentials;
use decnet_sender::check_credentials;
use decnet_store::catalog::StoredSubscription;
use decnet_store::delivery_rules::DeliveryRules;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::shown::{previewed, report};
use crate::commands::shared::test_event::{of_sample, ping, render_context, send};
use crate::commands::shared::trial::Trial;
use crate::config::Config;
use crate::failure;

/// The timeout of a name lookup. A name that does not resolve in time is accepted, because every attempt checks it again.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// The outbound operations with this process's configuration.
pub(super) struct Dispatch {
    config: Arc<Config>,
    tests: Arc<Semaphore>,
    previews: Arc<Semaphore>,
}

impl Dispatch {
    pub(super) fn new(config: Config) -> Self {
        let [tests, previews] = [MAX_API_TESTS, MAX_API_PREVIEWS].map(|max| Arc::new(Semaphore::new(max)));
        Self { config: Arc::new(config), tests, previews }
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

    fn test(&self, stored: Box<StoredSubscription>, event: TestEvent) -> BoxFuture<'static, TestReport> {
        let (config, tests) = (Arc::clone(&self.config), Arc::clone(&self.tests));
        let deadline = Instant::now() + API_TEST_TIMEOUT;
        async move {
            let Ok(permit) = timeout_at(deadline, tests.acquire_owned()).await else {
                return failed("too many tests are running; try again later".into());
            };
            // The permit is held until the test ends, even if the client has disconnected.
            let test = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                test(&stored, event, &config, deadline)
            });
            let report = test.await.map_err(anyhow::Error::from).flatten();
            report.unwrap_or_else(|error| failed(failure::format_error(&error)))
        }
        .boxed()
    }

    fn preview(
        &self,
        stored: Box<StoredSubscription>,
        events: Vec<Event>,
    ) -> BoxFuture<'static, Result<Vec<PreviewedEvent>, Refused>> {
        let (config, previews) = (Arc::clone(&self.config), Arc::clone(&self.previews));
        async move {
            let permit = previews.acquire_owned().await;
            let preview = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                preview(&stored, &events, &config)
            });
            let previewed = preview.await.map_err(anyhow::Error::from).flatten();
            previewed.map_err(|error| Refused(failure::format_error(&error)))
        }
        .boxed()
    }
}

/// Tries events until the time is used up; the others are listed without a request.
fn preview(
    stored: &StoredSubscription,
    events: &[Event],
    config: &Config,
) -> anyhow::Result<Vec<PreviewedEvent>> {
    let until = Instant::now() + PREVIEW_TIMEOUT;
    let context = render_context(config).map_err(anyhow::Error::msg)?;
    let rules = DeliveryRules::new(&stored.settings, &context.severities)?;
    let late = |event: &Event| Trial {
        severity: rules.severity(event),
        is_delivered: false,
        reason: "not evaluated: the events before it took too long".into(),
        request: None,
    };
    let trial = |event: &Event| match Instant::now() < until {
        true => Trial::new(stored, &rules, event, &context),
        false => late(event),
    };
    Ok(events.iter().map(|event| previewed(event, trial(event))).collect())
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
    event: TestEvent,
    config: &Config,
    deadline: Instant,
) -> anyhow::Result<TestReport> {
    let event = match event {
        TestEvent::Ping(triggered_by) => ping(&triggered_by)?,
        TestEvent::Sample(sample) => of_sample(&sample)?,
        TestEvent::Stored(event) => event,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sent = runtime.block_on(async { timeout_at(deadline, send(stored, &event, config)).await });
    // A pending name lookup must not keep the permit.
    runtime.shutdown_background();
    let late = |_| {
        let limit = duration::show(API_TEST_TIMEOUT);
        anyhow::anyhow!(
            "no answer within {limit}, the limit of a test over HTTP; `decnet subscription test` waits for the \
             subscription's timeout"
        )
    };
    Ok(report(&sent.map_err(late)??))
}

fn failed(error: String) -> TestReport {
    Tested::failed(Some(error)).into()
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
        let late = test(
            &stored,
            TestEvent::Ping("test".into()),
            &config,
            Instant::now() + Duration::from_millis(100),
        )
        .unwrap_err();
        assert!(late.to_string().starts_with("no answer within 25s"), "{late}");
    }
}
