//! What is told to whoever traces: one trace an event, from its publication to the replies of its receivers.
//!
//! The ids are derived ([`decnet_core::trace`]), so nothing is kept for them, and receivers that are sent `traceparent`
//! know them too. Where nobody traces, none of this is made.

use std::fmt;
use std::time::Duration;

use decnet_core::delivery::{Outcome, Verdict};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_core::trace::{SpanId, TraceId, attempt_span, root_span, trace_id};

use crate::lane::Lane;
use crate::members::Held;
use crate::sender::Attempted;

/// Who takes spans. It must not block, and may leave out what it has no room for.
pub trait Spans: fmt::Debug + Send + Sync {
    /// Takes one.
    fn take(&self, span: Span);

    /// The worker has ended: no more of them come. Its figures still stand, and go when this returns.
    fn end(&self);
}

/// Something that took time, in an event's trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The event.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// What it is a part of; nothing for the publication.
    pub parent: Option<SpanId>,
    /// When it began.
    pub started_at: UnixMicros,
    /// How long it took.
    pub duration: Duration,
    /// The event's id.
    pub event_id: Box<str>,
    /// Its topic.
    pub topic: Box<str>,
    /// What it was.
    pub kind: SpanKind,
}

/// What a span is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanKind {
    /// From an event until it is committed to the queue.
    Admission,
    /// One attempt.
    Attempt {
        /// The subscription's name.
        subscription: Box<str>,
        /// Counted from 1.
        number: u32,
        /// The reply's status, if there was one.
        status: Option<u16>,
        /// `delivered`, or the reason why not.
        outcome: &'static str,
        /// What went wrong, if anything did.
        detail: Option<Box<str>>,
    },
}

impl Span {
    /// Of an event that is committed.
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

    /// Of an attempt that is over.
    pub(crate) fn attempt(
        lane: &Lane,
        held: &Held,
        started_at: UnixMicros,
        attempted: &Attempted,
        verdict: &Verdict,
    ) -> Self {
        let (event, subscription) = (&held.event, &lane.stored.subscription);
        let number = held.attempts_with_this();
        Self {
            trace: trace_id(&event.id),
            id: attempt_span(&event.id, &subscription.uuid, held.id.number(), number),
            parent: Some(root_span(&event.id)),
            started_at,
            duration: attempted.duration,
            event_id: event.id.clone(),
            topic: event.topic.clone(),
            kind: SpanKind::Attempt {
                subscription: subscription.name.clone(),
                number,
                status: match attempted.outcome {
                    Outcome::Replied { status, .. } => Some(status),
                    Outcome::Failed(_) | Outcome::LocalFault => None,
                },
                outcome: verdict.reason().map_or("delivered", |reason| reason.as_str()),
                detail: attempted.detail.clone(),
            },
        }
    }
}
