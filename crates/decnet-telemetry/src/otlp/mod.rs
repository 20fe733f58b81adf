//! Traces and metrics to an OpenTelemetry collector: OTLP over gRPC, on a thread of its own.
//!
//! - `exporter`: the schedule of exports;
//! - `spans`, `metrics`: the OTLP formats; `common`: their common parts;
//! - `grpc`: the transport.
//!
//! Spans wait in a bounded queue. Spans that do not fit, and spans that the collector does not accept, are counted and
//! dropped. Metrics are read at each export and cumulative, so a failed export loses nothing. The failure of either kind
//! of export is logged once.

mod common;
mod exporter;
mod grpc;
mod metrics;
mod spans;

use decnet_core::limits::MAX_UNEXPORTED_SPANS;
use decnet_dispatch::{Span, SpanSink};
use decnet_runtime::metrics::Counter;
use hyper::Uri;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use tokio::sync::{mpsc, watch};

use self::exporter::Exporter;
use super::worker::WorkerView;
use decnet_runtime::thread::{RuntimeThread, ThreadError};

/// The input of the exporter: receives spans and the worker's end.
#[derive(Debug)]
pub struct Tracer {
    queue: mpsc::Sender<Span>,
    view: WorkerView,
    last: watch::Sender<Option<ExportMetricsServiceRequest>>,
}

/// The numbers of spans that were not exported.
#[derive(Debug, Default)]
pub struct DroppedSpans {
    /// Spans that did not fit the buffer.
    pub(super) buffer_full: Counter,
    /// Spans that the collector rejected or could not receive.
    pub(super) not_accepted: Counter,
}

impl SpanSink for Tracer {
    fn record(&self, span: Span) {
        if self.queue.try_send(span).is_err() {
            self.view.dropped_spans.buffer_full.add(1);
        }
    }

    /// Reads the final metrics here, since the exporter would read them while subscriptions are being dropped.
    fn end(&self) {
        self.last.send_replace(Some(metrics::read(&self.view)));
    }
}

impl Tracer {
    /// Starts the exporter. It ends when the tracer is dropped, after a final export of spans and metrics, and at most
    /// `FINAL_EXPORT_TIMEOUT` after the worker's end.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(endpoint: Uri, view: WorkerView) -> Result<(Self, RuntimeThread<()>), ThreadError> {
        let (tracer, exporter) = Self::new(endpoint, view);
        let thread = RuntimeThread::start("exporter", move |ready| async move {
            ready.up();
            exporter.run().await;
            Ok(())
        })?;
        Ok((tracer, thread))
    }

    fn new(endpoint: Uri, view: WorkerView) -> (Self, Exporter) {
        let (queue, spans) = mpsc::channel(MAX_UNEXPORTED_SPANS);
        let (last, numbers) = watch::channel(None);
        let exporter = Exporter::new(endpoint, spans, numbers, view.clone());
        (Self { queue, view, last }, exporter)
    }
}

#[cfg(test)]
mod tests;
