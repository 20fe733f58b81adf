//! Traces and metrics to an OpenTelemetry collector: OTLP over gRPC, on a thread of its own.
//!
//! - `spans`, `metrics`: how OTLP writes them; `common`: what both have;
//! - `grpc`: how they get there.
//!
//! Spans wait in a bounded queue; what finds no room, and what the collector does not take, is counted and left out.
//! Metrics are read when they are exported, and cumulative, so that one that is not taken takes nothing with it. A
//! collector that does not take the one or the other is said once for each.

mod common;
mod grpc;
mod metrics;
mod spans;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use decnet_core::limits::{
    EXPORT_INTERVAL, EXPORT_TIMEOUT, LAST_EXPORT_TIMEOUT, MAX_EXPORT_SPANS, MAX_UNEXPORTED_SPANS,
    METRICS_EXPORT_INTERVAL,
};
use decnet_core::measure::Counter;
use decnet_dispatch::{Span, Spans, clock};
use hyper::Uri;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::grpc::{Client, Error};
use super::worker::Seen;
use crate::commands::background::Background;

const EXPORT_SPANS: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const EXPORT_METRICS: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Where spans are handed in.
#[derive(Debug, Clone)]
pub(crate) struct Tracer {
    queue: mpsc::Sender<Span>,
    lost: Arc<Counter>,
    is_full: Arc<AtomicBool>,
}

impl Spans for Tracer {
    fn take(&self, span: Span) {
        match self.queue.try_send(span) {
            Ok(()) => self.is_full.store(false, Ordering::Relaxed),
            Err(_) => {
                self.lost.add(1);
                if !self.is_full.swap(true, Ordering::Relaxed) {
                    tracing::warn!("spans come faster than the collector takes them; some are left out");
                }
            }
        }
    }
}

impl Tracer {
    /// Starts the exporter. It ends, with a last export of both, when the tracer and its clones are gone.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(endpoint: Uri, seen: Seen) -> anyhow::Result<(Self, Background<()>)> {
        let (queue, spans) = mpsc::channel(MAX_UNEXPORTED_SPANS);
        let lost = Arc::new(Counter::default());
        let exporter = Exporter {
            client: Client::new(endpoint),
            spans,
            lost: Arc::clone(&lost),
            seen,
            spans_go: Said::default(),
            metrics_go: Said::default(),
        };
        let thread = Background::start("exporter", move |ready| async move {
            ready.up();
            exporter.run().await;
            Ok(())
        })?;
        Ok((Self { queue, lost, is_full: Arc::default() }, thread))
    }
}

/// The thread's own.
struct Exporter {
    client: Client,
    spans: mpsc::Receiver<Span>,
    lost: Arc<Counter>,
    seen: Seen,
    spans_go: Said,
    metrics_go: Said,
}

/// What was said last of a kind of export: a collector may take traces and no metrics.
#[derive(Debug, Default)]
struct Said {
    is_away: bool,
}

impl Exporter {
    async fn run(mut self) {
        let mut batch = Vec::new();
        let mut ticks = tokio::time::interval(METRICS_EXPORT_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                received = self.spans.recv_many(&mut batch, MAX_EXPORT_SPANS) => {
                    if received == 0 {
                        break;
                    }
                    self.export_spans(&mut batch).await;
                }
                _ = ticks.tick() => self.export_metrics().await,
            }
        }
        self.export_metrics().await;
    }

    async fn export_spans(&mut self, batch: &mut Vec<Span>) {
        if !self.spans.is_closed() {
            // Others come meanwhile, and go together.
            tokio::time::sleep(EXPORT_INTERVAL).await;
        }
        while batch.len() < MAX_EXPORT_SPANS
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        let spans = batch.len() as u64;
        let request = spans::request(batch.drain(..));
        let Some(timeout) = self.timeout(&self.spans_go) else { return self.lost.add(spans) };
        let exported = call(&mut self.client, EXPORT_SPANS, &request, timeout).await;
        if exported.is_err() {
            self.lost.add(spans);
        }
        self.spans_go.say("spans", exported, self.client.endpoint(), self.lost.get());
    }

    async fn export_metrics(&mut self) {
        let Some(timeout) = self.timeout(&self.metrics_go) else { return };
        let period = metrics::Period { start: self.seen.started_at, now: clock::now() };
        let request = metrics::request(&super::metrics::families(&self.seen), period);
        let exported = call(&mut self.client, EXPORT_METRICS, &request, timeout).await;
        self.metrics_go.say("metrics", exported, self.client.endpoint(), self.lost.get());
    }

    /// None is left when the worker has ended and the collector is away: it must not hold up the end.
    fn timeout(&self, said: &Said) -> Option<Duration> {
        match (self.spans.is_closed(), said.is_away) {
            (false, _) => Some(EXPORT_TIMEOUT),
            (true, false) => Some(LAST_EXPORT_TIMEOUT),
            (true, true) => None,
        }
    }
}

async fn call(
    client: &mut Client,
    path: &str,
    request: &impl Message,
    timeout: Duration,
) -> Result<(), Error> {
    tokio::time::timeout(timeout, client.call(path, request)).await.unwrap_or(Err(Error::Late))
}

impl Said {
    /// Says how an export went, if the last one went otherwise.
    fn say(&mut self, what: &str, exported: Result<(), Error>, endpoint: &Uri, lost: u64) {
        let was_away = std::mem::replace(&mut self.is_away, exported.is_err());
        match exported {
            Ok(()) if was_away => tracing::info!(lost, "the collector takes {what} again"),
            Err(error) if !was_away => {
                tracing::warn!(%error, %endpoint, "the collector takes no {what}; they are left out until it does");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
