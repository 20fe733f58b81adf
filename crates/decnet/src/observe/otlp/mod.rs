//! Traces and metrics to an OpenTelemetry collector: OTLP over gRPC, on a thread of its own.
//!
//! - `exporter`: what goes when;
//! - `spans`, `metrics`: how OTLP writes them; `common`: what both have;
//! - `grpc`: how they get there.
//!
//! Spans wait in a bounded queue; what finds no room, and what the collector does not take, is counted and left out.
//! Metrics are read when they are exported, and cumulative, so that one that is not taken takes nothing with it. A
//! collector that does not take the one or the other is said once for each.

mod common;
mod exporter;
mod grpc;
mod metrics;
mod spans;

use decnet_core::limits::MAX_UNEXPORTED_SPANS;
use decnet_core::measure::Counter;
use decnet_dispatch::{Span, Spans};
use hyper::Uri;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::sync::{mpsc, watch};

use self::exporter::Exporter;
use super::worker::Seen;
use crate::commands::thread::RuntimeThread;

/// Where spans are handed in, and the worker's end is told.
#[derive(Debug)]
pub(crate) struct Tracer {
    queue: mpsc::Sender<Span>,
    seen: Seen,
    last: watch::Sender<Option<ExportMetricsServiceRequest>>,
}

/// Spans that the collector did not get.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    /// Too many waited.
    pub(super) no_room: Counter,
    /// It did not take them, or was away.
    pub(super) not_taken: Counter,
}

impl Spans for Tracer {
    fn take(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.seen.left_out.no_room.add(1);
        }
    }

    /// The last numbers are read here: the exporter would read them while they go.
    fn end(&self) {
        self.last.send_replace(Some(metrics::read(&self.seen)));
    }
}

impl Tracer {
    /// Starts the exporter. It ends when the tracer is gone, with a last export of both, and within
    /// `LAST_EXPORT_TIMEOUT` after the worker's end.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(crate) fn start(endpoint: Uri, seen: Seen) -> anyhow::Result<(Self, RuntimeThread<()>)> {
        let (tracer, exporter) = Self::new(endpoint, seen);
        let thread = RuntimeThread::start("exporter", move |ready| async move {
            ready.up();
            exporter.run().await;
            Ok(())
        })?;
        Ok((tracer, thread))
    }

    fn new(endpoint: Uri, seen: Seen) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(MAX_UNEXPORTED_SPANS);
        let (last, numbers) = watch::channel(None);
        let exporter = Exporter::new(endpoint, spans, numbers, seen.clone());
        (Self { queue, seen, last }, exporter)
    }
}

#[cfg(test)]
mod tests;
