//! The API's metrics page: its own metrics, and those that the worker provides on its socket.

use std::path::PathBuf;
use std::sync::Arc;

use decnet_api::{Activity, Metrics, Requests, Traffic};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::de::DeserializeOwned;

use super::client;
use super::families::{Family, durations, gauge, number};
use super::metrics::UP_HELP;
use super::text::{self, Format};
use super::traffic;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The end of an OpenMetrics document. Only the last of two joined documents keeps it.
const END: &str = "# EOF\n";

/// The metrics page of the API. Includes the metrics of the worker with this data directory.
#[derive(Debug, Clone)]
pub struct Page(pub PathBuf);

impl Metrics for Page {
    fn page(&self, requests: Arc<Requests>, accept: String) -> BoxFuture<'static, (&'static str, String)> {
        let (format, data_dir) = (Format::accepted(&accept), self.0.clone());
        async move {
            let worker = match client::get(&data_dir, "/metrics", format.content_type()).await {
                Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                Err(error) => {
                    tracing::debug!(%error, "cannot read the worker's metrics");
                    text::write(vec![gauge("decnet_webhook_up", UP_HELP, 0)], format)
                }
            };
            let worker = worker.strip_suffix(END).unwrap_or(&worker);
            (format.content_type(), format!("{worker}{}", text::write(families(&requests), format)))
        }
        .boxed()
    }

    fn traffic(&self) -> BoxFuture<'static, Option<Traffic>> {
        read(self.0.clone(), traffic::PATH)
    }

    fn activity(&self) -> BoxFuture<'static, Activity> {
        read(self.0.clone(), traffic::ACTIVITY_PATH).map(Option::unwrap_or_default).boxed()
    }
}

/// Reads JSON from the worker; `None` if no worker answers, or one of another version.
fn read<T: DeserializeOwned + Send + 'static>(
    data_dir: PathBuf,
    path: &'static str,
) -> BoxFuture<'static, Option<T>> {
    async move {
        let body = client::get(&data_dir, path, "application/json").await;
        let parsed = body.map_err(Into::into).and_then(|body| Ok(serde_json::from_slice(&body)?));
        parsed
            .inspect_err(|error: &BoxError| tracing::debug!(%error, path, "cannot read from the worker"))
            .ok()
    }
    .boxed()
}

fn families(requests: &Requests) -> Vec<Family> {
    let family = Family::counter("decnet_api_requests", "Requests by class of the response status");
    let by_class = requests
        .by_class()
        .fold(family, |family, (class, count)| family.with(&[("class", class)], number(count)));
    vec![
        by_class,
        gauge("decnet_api_requests_in_flight", "Requests in progress", requests.in_flight.get()),
        durations(
            "decnet_api_request_duration",
            "Time from a request until its response begins",
            requests.time.read(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn page_without_a_worker_is_one_document() {
        let page = Page("/nowhere".into());
        let accept = "application/openmetrics-text".to_owned();
        let (content_type, text) = page.page(Arc::default(), accept).await;
        assert!(content_type.starts_with("application/openmetrics-text"));
        assert!(
            text.contains("decnet_webhook_up 0") && text.contains("decnet_api_requests_total{class=\"2xx\"}"),
            "{text}"
        );
        assert_eq!((text.matches(END).count(), text.ends_with(END)), (1, true), "{text}");
    }
}
