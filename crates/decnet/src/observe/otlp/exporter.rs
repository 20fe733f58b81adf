//! What is exported when: spans as they come, many together, and metrics from time to time.

use std::time::Duration;

use decnet_core::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, LAST_EXPORT_TIMEOUT, MAX_EXPORT_SPANS, METRICS_EXPORT_INTERVAL,
};
use decnet_dispatch::Span;
use hyper::Uri;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::grpc::{Client, Error};
use super::{metrics, spans};
use crate::config::without_secrets;
use crate::observe::worker::Seen;

pub(super) const EXPORT_SPANS: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
pub(super) const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
/// After so long without a span too many, the next one is said again.
const QUIET: Duration = Duration::from_secs(60);

/// The thread's own.
pub(super) struct Exporter {
    client: Client,
    spans: mpsc::Receiver<Span>,
    /// The worker's last numbers, once it has ended.
    last: watch::Receiver<Option<ExportMetricsServiceRequest>>,
    seen: Seen,
    /// How long spans wait for others.
    pub(super) interval: Duration,
    /// What the collector gets for one export.
    pub(super) timeout: Duration,
    spans_go: Said,
    metrics_go: Said,
    overflow: Overflow,
}

impl Exporter {
    pub(super) fn new(
        endpoint: Uri,
        spans: mpsc::Receiver<Span>,
        last: watch::Receiver<Option<ExportMetricsServiceRequest>>,
        seen: Seen,
    ) -> Self {
        Self {
            client: Client::new(endpoint),
            spans,
            last,
            seen,
            interval: EXPORT_INTERVAL,
            timeout: EXPORT_TIMEOUT,
            spans_go: Said::default(),
            metrics_go: Said::default(),
            overflow: Overflow::default(),
        }
    }

    /// Exports until the worker has ended and all has gone. A collector that does not answer must not hold up the end,
    /// so an export under way then is cut off as well.
    pub(super) async fn run(mut self) {
        let mut last = self.last.clone();
        let too_late = async {
            // Gone without last numbers, the worker has ended too.
            drop(last.changed().await);
            sleep(LAST_EXPORT_TIMEOUT).await;
        };
        tokio::select! {
            () = self.export() => {}
            () = too_late => {
                if !self.spans_go.is_away && !self.metrics_go.is_away {
                    tracing::warn!("the collector did not take the last spans and metrics in time");
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
                _ = ticks.tick() => self.export_metrics(metrics::read(&self.seen)).await,
            }
        }
        let last = self.last.borrow().clone();
        if let Some(numbers) = last {
            self.export_metrics(numbers).await;
        }
    }

    async fn export_spans(&mut self, batch: &mut Vec<Span>) {
        if batch.len() < MAX_EXPORT_SPANS && !self.spans.is_closed() {
            // Others come meanwhile, and go together.
            sleep(self.interval).await;
        }
        while batch.len() < MAX_EXPORT_SPANS
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        let count = batch.len() as u64;
        let exported = self.call(EXPORT_SPANS, &spans::request(batch.drain(..))).await;
        let left_out = &self.seen.left_out;
        left_out.not_taken.add(exported.as_ref().map_or(count, rejected));
        let sum = left_out.no_room.get() + left_out.not_taken.get();
        self.overflow.say(left_out.no_room.get(), Instant::now());
        self.spans_go.say("spans", exported.err(), self.client.endpoint(), Some(sum));
    }

    async fn export_metrics(&mut self, numbers: ExportMetricsServiceRequest) {
        let exported: Result<ExportMetricsServiceResponse, _> = self.call(EXPORT_METRICS, &numbers).await;
        self.metrics_go.say("metrics", exported.err(), self.client.endpoint(), None);
    }

    async fn call<R: Message + Default>(&mut self, path: &str, request: &impl Message) -> Result<R, Error> {
        timeout(self.timeout, self.client.call(path, request)).await.unwrap_or(Err(Error::Late))
    }
}

/// How many spans of an export the collector says it has not taken.
fn rejected(reply: &ExportTraceServiceResponse) -> u64 {
    reply.partial_success.as_ref().map_or(0, |partial| partial.rejected_spans.max(0).unsigned_abs())
}

/// What was said last of a kind of export: a collector may take traces and no metrics.
#[derive(Debug, Default)]
struct Said {
    is_away: bool,
}

impl Said {
    /// Says how an export went, if the last one went otherwise.
    fn say(&mut self, what: &str, error: Option<Error>, endpoint: &Uri, left_out: Option<u64>) {
        let was_away = std::mem::replace(&mut self.is_away, error.is_some());
        match error {
            None if was_away => tracing::info!(left_out, "the collector takes {what} again"),
            Some(error) if !was_away => {
                let endpoint = without_secrets(&endpoint.to_string());
                tracing::warn!(%error, endpoint, "the collector takes no {what}; they are left out until it does");
            }
            _ => {}
        }
    }
}

/// What was said of spans that found no room.
#[derive(Debug, Default)]
struct Overflow {
    /// Of how many we know.
    known: u64,
    /// When there were more than before.
    grew_at: Option<Instant>,
}

impl Overflow {
    /// Says that spans are left out, once for as long as it goes on; was it said?
    fn say(&mut self, no_room: u64, now: Instant) -> bool {
        if std::mem::replace(&mut self.known, no_room) == no_room {
            return false;
        }
        let is_new = self.grew_at.replace(now).is_none_or(|at| now - at >= QUIET);
        if is_new {
            tracing::warn!(left_out = no_room, "spans come faster than they are exported; some are left out");
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_without_room_are_said_once_for_as_long_as_it_goes_on() {
        let (mut overflow, start) = (Overflow::default(), Instant::now());
        let mut at = |seconds, no_room| overflow.say(no_room, start + Duration::from_secs(seconds));
        assert!(!at(0, 0) && at(10, 5));
        assert!((1..100).all(|n| !at(10 + 10 * n, 5 + n)), "it goes on");
        assert!(!at(1059, 104) && at(1060, 105));
    }
}
