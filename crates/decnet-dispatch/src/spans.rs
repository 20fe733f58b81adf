//! Spans for tracing: one trace per event, from its publication to the replies of its receivers.
//!
//! Ids are derived from the event ([`decnet_core::trace`]), so they need no storage, and receivers that get `traceparent` can
//! refer to them. Without a sink no span is created.

use std::fmt;
use std::time::Duration;

use decnet_core::delivery::Verdict;
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_core::trace::{SpanId, TraceId, attempt_span, root_span, trace_id};

use crate::lane::Lane;
use crate::request_batch::ReadyDelivery;
use decnet_sender::AttemptResult;

/// A receiver of spans. Implementations must not block, and may drop spans that do not fit their buffers.
pub trait SpanSink: fmt::Debug + Send + Sync {
    /// Records a span.
    fn record(&self, span: Span);

    /// Ends the recording. Called once, after the last span and before the worker's metrics are dropped, so that both can be
    /// exported.
    fn end(&self);
}

/// A span in the trace of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace, whose id is derived from the id of the event.
    pub trace: TraceId,
    /// The id of the span.
    pub id: SpanId,
    /// The parent span; `None` for the root span.
    pub parent: Option<SpanId>,
    /// The start time.
    pub started_at: UnixMicros,
    /// The duration.
    pub duration: Duration,
    /// The id of the event.
    pub event_id: Box<str>,
    /// The topic of the event.
    pub topic: Box<str>,
    /// The operation.
    pub kind: SpanKind,
}

/// The operation that a span describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanKind {
    /// The admission of an event, from its publication to its commit to the queue.
    Admission,
    /// An attempt to deliver.
    Attempt {
        /// The name of the subscription.
        subscription: Box<str>,
        /// The number of the attempt, counted from 1.
        number: u32,
        /// The status of the reply, if there was one.
        status: Option<u16>,
        /// `delivered`, or the reason for the failure.
        outcome: &'static str,
        /// The description of the failure, if there was one.
        detail: Option<Box<str>>,
    },
}

impl Span {
    /// Creates the span of an event that was committed at `now`.
    pub(crate) fn admission(event: &Event, now: UnixMicros) -> Self {
        Self {
            trace: trace_id(&event.id),
            id: root_span(&event.id),
            parent: None,
            started_at: event.at,
            duration: now.since(event.at),
            event_id: event.id.clone(),
            topic: event.topic.clone(),
            kind: SpanKind::Admission,
        }
    }

    /// Creates the span of a completed attempt.
    pub(crate) fn attempt(
        lane: &Lane,
        delivery: &ReadyDelivery,
        started_at: UnixMicros,
        result: &AttemptResult,
        verdict: &Verdict,
    ) -> Self {
        let (event, subscription) = (&delivery.event, &lane.stored.subscription);
        let number = delivery.attempt_number();
        Self {
            trace: trace_id(&event.id),
            id: attempt_span(&event.id, &subscription.uuid, delivery.id.number(), number),
            parent: Some(root_span(&event.id)),
            started_at,
            duration: result.duration,
            event_id: event.id.clone(),
            topic: event.topic.clone(),
            kind: SpanKind::Attempt {
                subscription: subscription.name.clone(),
                number,
                status: result.outcome.status(),
                outcome: verdict.reason().map_or("delivered", |reason| reason.as_str()),
                detail: result.detail.clone(),
            },
        }
    }
}
