//! Request metrics of the API, and the page that shows them with the worker's metrics.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State as Extracted};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use decnet_runtime::metrics::{Counter, Gauge, Histogram};
use futures_util::future::BoxFuture;
use utoipa_axum::routes;

use crate::auth::Scope;
use crate::routes::Routes;
use crate::state::Shared;
use crate::traffic::{Activity, Traffic};

/// Histogram bounds of request durations, in microseconds.
const REQUEST_BOUNDS: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000,
];

/// Request metrics since the start of the API.
#[derive(Debug)]
pub struct Requests {
    /// Responses by the first digit of their status, from 1 to 5.
    by_class: [Counter; 5],
    /// Requests in progress.
    pub in_flight: Gauge,
    /// Time from a request to the head of its response, in microseconds.
    pub time: Histogram,
}

/// The source of the worker's metrics: the binary, which can query the worker.
pub trait Metrics: Send + Sync + 'static {
    /// Returns content type and text, in the format that the `Accept` header requests.
    fn page(&self, requests: Arc<Requests>, accept: String) -> BoxFuture<'static, (&'static str, String)>;

    /// Returns the worker's traffic; `None` if no worker answers.
    fn traffic(&self) -> BoxFuture<'static, Option<Traffic>>;

    /// Returns the recent activity of subscriptions; empty if no worker answers.
    fn activity(&self) -> BoxFuture<'static, Activity>;
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            by_class: Default::default(),
            in_flight: Gauge::default(),
            time: Histogram::new(REQUEST_BOUNDS),
        }
    }
}

impl Requests {
    /// Returns each status class, such as `2xx`, with its number of responses.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        ["1xx", "2xx", "3xx", "4xx", "5xx"]
            .into_iter()
            .zip(&self.by_class)
            .map(|(class, count)| (class, count.get()))
    }
}

/// Counts a request as in flight until dropped, also if the client disconnects before the response.
struct InFlight<'a>(&'a Requests);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.add(-1);
    }
}

/// Counts every request.
pub(crate) async fn count(requests: Extracted<Arc<Requests>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    requests.in_flight.add(1);
    let _in_flight = InFlight(&requests);
    let reply = next.run(request).await;
    if let Some(class) = requests.by_class.get(usize::from(reply.status().as_u16() / 100).wrapping_sub(1)) {
        class.add(1);
    }
    requests.time.observe_time(begun.elapsed());
    reply
}

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.guarded(Scope::Read, routes!(page))
}

/// Returns the metrics of the API and of the worker for Prometheus.
///
/// The format is OpenMetrics if `Accept` requests it, else Prometheus text. `decnet_webhook_up` is 0 if no worker answers.
#[utoipa::path(get, path = "/metrics", tag = "system", responses((status = 200, body = String, content_type = "text/plain")))]
async fn page(Extracted(state): Extracted<Shared>, headers: HeaderMap) -> Response {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let (content_type, text) = state.metrics.page(Arc::clone(&state.requests), accept).await;
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
