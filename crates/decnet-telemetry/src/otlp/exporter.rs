//! The schedule of exports: spans in batches as they arrive, and metrics at an interval.

use std::time::{Duration, Instant};

use decnet_core::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, FINAL_EXPORT_TIMEOUT, MAX_EXPORT_SPANS, METRICS_EXPORT_INTERVAL,
};
use decnet_dispatch::Span;
use decnet_runtime::log_throttle::LogThrottle;
use hyper::Uri;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::grpc::{Client, Error};
use super::{metrics, spans};
use crate::worker::WorkerView;

pub(super) const EXPORT_SPANS: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(super) const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
/// The minimum time between two log messages about spans that did not fit the buffer.
const OVERFLOW_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The state of the exporter's thread.
pub(super) struct Exporter {
    client: Client,
    spans: mpsc::Receiver<Span>,
    /// The worker's final metrics, once it has ended.
    last: watch::Receiver<Option<ExportMetricsServiceRequest>>,
    view: WorkerView,
    /// The time for which spans wait to be batched.
    pub(super) interval: Duration,
    /// The timeout of one export.
    pub(super) timeout: Duration,
    spans_fail: bool,
    metrics_fail: bool,
    /// The number of spans that did not fit the buffer, as of the last export.
    overflowed: u64,
    overflow_log: LogThrottle,
}

impl Exporter {
    pub(super) fn new(
        endpoint: Uri,
        spans: mpsc::Receiver<Span>,
        last: watch::Receiver<Option<ExportMetricsServiceRequest>>,
        view: WorkerView,
    ) -> Self {
        Self {
            client: Client::new(endpoint),
            spans,
            last,
            view,
            interval: EXPORT_INTERVAL,
            timeout: EXPORT_TIMEOUT,
            spans_fail: false,
            metrics_fail: false,
            overflowed: 0,
            overflow_log: LogThrottle::new(OVERFLOW_LOG_INTERVAL),
        }
    }

    /// Exports until the worker has ended and everything is exported. A collector that does not answer must not delay the
    /// shutdown, so an export in progress is then cancelled after [`FINAL_EXPORT_TIMEOUT`].
    pub(super) async fn run(mut self) {
        let mut last = self.last.clone();
        let too_late = async {
            // A closed channel means that the worker has ended without final metrics.
            drop(last.changed().await);
            sleep(FINAL_EXPORT_TIMEOUT).await;
        };
        tokio::select! {
            () = self.export() => {}
            () = too_late => {
                if !self.spans_fail && !self.metrics_fail {
                    tracing::warn!("the collector did not accept the last spans and metrics in time");
                }
            }
        }
    }

    async fn export(&mut self) {
        let mut batch = Vec::new();
        let mut ticks = interval(METRICS_EXPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.spans.recv_many(&mut batch, MAX_EXPORT_SPANS) => {
                    if received == 0 {
                        break;
                    }
                    self.export_spans(&mut batch).await;
                }
                _ = ticks.tick() => self.export_metrics(metrics::read(&self.view)).await,
            }
        }
        let last = self.last.borrow().clone();
        if let Some(numbers) = last {
            self.export_metrics(numbers).await;
        }
    }

    async fn export_spans(&mut self, batch: &mut Vec<Span>) {
        if batch.len() < MAX_EXPORT_SPANS && !self.spans.is_closed() {
            // Collects further spans for the batch.
            sleep(self.interval).await;
        }
        while batch.len() < MAX_EXPORT_SPANS
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        let count = batch.len() as u64;
        let exported = self.call(EXPORT_SPANS, &spans::request(batch.drain(..))).await;
        let dropped_spans = &self.view.dropped_spans;
        dropped_spans.not_accepted.add(exported.as_ref().map_or(count, rejected));
        let overflowed = dropped_spans.buffer_full.get();
        let sum = overflowed + dropped_spans.not_accepted.get();
        self.overflow_log.add(overflowed - std::mem::replace(&mut self.overflowed, overflowed));
        if let Some(dropped_spans) = self.overflow_log.due(Instant::now()) {
            tracing::warn!(dropped_spans, "spans arrive faster than they are exported; some are dropped");
        }
        log_change(&mut self.spans_fail, "spans", exported.err(), self.client.endpoint(), Some(sum));
    }

    async fn export_metrics(&mut self, numbers: ExportMetricsServiceRequest) {
        let exported: Result<ExportMetricsServiceResponse, _> = self.call(EXPORT_METRICS, &numbers).await;
        log_change(&mut self.metrics_fail, "metrics", exported.err(), self.client.endpoint(), None);
    }

    async fn call<R: Message + Default>(&mut self, path: &str, request: &impl Message) -> Result<R, Error> {
        timeout(self.timeout, self.client.call(path, request))
            .await
            .unwrap_or_else(|_| Err("no response in time".into()))
    }
}

/// Returns the number of spans that the collector rejected.
fn rejected(reply: &ExportTraceServiceResponse) -> u64 {
    reply.partial_success.as_ref().map_or(0, |partial| partial.rejected_spans.max(0).unsigned_abs())
}

/// Logs the result of an export if it differs from the previous result. The state is separate for each kind of export: a
/// collector may accept traces but not metrics.
fn log_change(
    is_failing: &mut bool,
    what: &str,
    error: Option<Error>,
    endpoint: &Uri,
    dropped_spans: Option<u64>,
) {
    let was_failing = std::mem::replace(is_failing, error.is_some());
    match error {
        None if was_failing => tracing::info!(dropped_spans, "the collector accepts {what} again"),
        Some(error) if !was_failing => {
            let endpoint = without_secrets(endpoint);
            tracing::warn!(%error, endpoint, "the collector does not accept {what}; they are dropped until it does");
        }
        _ => {}
    }
}

/// Returns the scheme, host and port of an endpoint. User information and path may contain secrets.
fn without_secrets(endpoint: &Uri) -> String {
    let port = endpoint.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}://{}{port}", endpoint.scheme_str().unwrap_or_default(), endpoint.host().unwrap_or_default())
}
