//! Spans in the OTLP format.

use decnet_dispatch::{Span, SpanKind};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};

use super::common::{nanos, number_of, resource, scope, text};

/// The sampled flag: all spans are exported.
const SAMPLED: u32 = 1;

/// Returns the request that exports the spans.
pub(super) fn request(spans: impl Iterator<Item = Span>) -> ExportTraceServiceRequest {
    let scope_spans =
        ScopeSpans { scope: Some(scope()), spans: spans.map(message).collect(), ..ScopeSpans::default() };
    let spans = ResourceSpans {
        resource: Some(resource()),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![spans] }
}

fn message(span: Span) -> Message {
    let mut attributes =
        vec![text("messaging.message.id", &span.event_id), text("messaging.destination.name", &span.topic)];
    let (name, kind, status) = match span.kind {
        SpanKind::Admission => (format!("admit {}", span.topic), Kind::Producer, SpanStatus::Unset),
        SpanKind::Attempt { subscription, number, status, outcome, detail } => {
            attributes.push(text("decnet.subscription", &subscription));
            attributes.push(number_of("decnet.attempt", number.into()));
            attributes.push(text("decnet.outcome", outcome));
            attributes.extend(status.map(|status| number_of("http.response.status_code", status.into())));
            attributes.extend(detail.map(|detail| text("error.message", &detail)));
            let status = if outcome == "delivered" { SpanStatus::Unset } else { SpanStatus::Error };
            (format!("deliver {subscription}"), Kind::Client, status)
        }
    };
    Message {
        trace_id: span.trace.to_bytes().into(),
        span_id: span.id.to_bytes().into(),
        parent_span_id: span.parent.map(|parent| parent.to_bytes().into()).unwrap_or_default(),
        flags: SAMPLED,
        name,
        kind: kind.into(),
        start_time_unix_nano: nanos(span.started_at),
        end_time_unix_nano: nanos(span.started_at.after(span.duration)),
        attributes,
        status: Some(Status { message: String::new(), code: status.into() }),
        ..Message::default()
    }
}
