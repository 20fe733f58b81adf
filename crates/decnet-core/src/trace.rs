//! The trace context of an attempt (W3C Trace Context, level 1).
//!
//! All ids are derived from existing data. Nothing is stored, each attempt has a different span, and the exporter of spans and
//! the sender of the header compute the same ids independently:
//!
//! - trace: the event's id if it is a UUID, otherwise the first bytes of its SHA-256;
//! - root span: the event's publication;
//! - span of an attempt: event, subscription, delivery and number of the attempt.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// The id of a trace or a span: `N` bytes, not all zero; printed in hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Id<const N: usize>([u8; N]);

/// The id of a trace.
pub type TraceId = Id<16>;

/// The id of a span.
pub type SpanId = Id<8>;

/// Returns the trace id of an event: the event id if it has 32 hexadecimal digits, apart from dashes, otherwise the first 16
/// bytes of the SHA-256 of the event id.
#[must_use]
pub fn trace_id(event_id: &str) -> TraceId {
    let bytes = parse_uuid(event_id).filter(|bytes| *bytes != [0; 16]);
    Id(bytes.unwrap_or_else(|| hash(&[event_id.as_bytes()])))
}

/// Returns the span of an event's publication, the parent of all its attempts.
#[must_use]
pub fn root_span(event_id: &str) -> SpanId {
    Id(hash(&[b"event\0", event_id.as_bytes()]))
}

/// Returns the span of attempt number `attempt`, from 1, of this event's delivery to this subscription. `delivery` is the
/// number of the delivery within its event: a redelivery has a number and attempts of its own.
#[must_use]
pub fn attempt_span(event_id: &str, subscription_uuid: &str, delivery: u32, attempt: u32) -> SpanId {
    let pieces = [
        b"attempt\0",
        event_id.as_bytes(),
        b"\0",
        subscription_uuid.as_bytes(),
        b"\0",
        &delivery.to_be_bytes(),
        &attempt.to_be_bytes(),
    ];
    Id(hash(&pieces))
}

/// Returns the value of `traceparent`, version 00, sampled.
#[must_use]
pub fn traceparent(trace: TraceId, parent: SpanId) -> String {
    format!("00-{trace}-{parent}-01")
}

impl<const N: usize> Id<N> {
    /// Returns the bytes, as in OTLP.
    #[must_use]
    pub fn to_bytes(self) -> [u8; N] {
        self.0
    }
}

/// Parses 32 hexadecimal digits, with dashes anywhere.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
    let mut bytes = [0; 16];
    for byte in &mut bytes {
        *byte = u8::try_from(digits.next()?? << 4 | digits.next()??).ok()?;
    }
    digits.next().is_none().then_some(bytes)
}

/// Returns the first bytes of the SHA-256 of the concatenated pieces, not all zero.
fn hash<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut hasher = Sha256::new();
    pieces.iter().for_each(|piece| hasher.update(piece));
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hasher.finalize()[..N]);
    if bytes == [0; N] {
        bytes[N - 1] = 1;
    }
    bytes
}

impl<const N: usize> fmt::Display for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Id<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn trace_of_a_uuid_is_the_uuid() {
        let expected = "4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d";
        assert_eq!(trace_id(expected).to_string(), expected);
        assert_eq!(trace_id("4F0C2D9E-6B1A-4C7F-8D3E-5A2B1C0F9E8D").to_string(), expected);
    }

    /// SHA-256 of `abc` is in FIPS 180-2, appendix B.1.
    #[test]
    fn trace_of_any_other_id_is_its_hash() {
        assert_eq!(trace_id("abc").to_string(), "ba7816bf8f01cfea414140de5dae2223");
        for id in ["", "e-1", &"0".repeat(32), &"f".repeat(31), &"f".repeat(33), &"é".repeat(32)] {
            assert_ne!(trace_id(id).to_bytes(), [0; 16], "{id}");
        }
        assert_ne!(trace_id(&"f".repeat(33)).to_bytes(), [0xff; 16]);
    }

    #[test]
    fn each_attempt_has_a_span_of_its_own() {
        let mut spans = vec![root_span("e"), attempt_span("e", "s", 0, 1), attempt_span("e", "s", 0, 2)];
        spans.extend([attempt_span("e", "t", 0, 1), attempt_span("es", "", 0, 1)]);
        spans.extend([attempt_span("f", "s", 0, 1), attempt_span("e", "s", 1, 1)]);
        let all: std::collections::HashSet<_> = spans.iter().collect();
        assert_eq!(all.len(), spans.len());
        assert_eq!(attempt_span("e", "s", 0, 1), spans[1], "deterministic");
    }

    proptest! {
        #[test]
        fn traceparent_has_the_specified_form(event in ".{0,40}", uuid in "[0-9a-f]{8}", delivery: u32, attempt: u32) {
            let value = traceparent(trace_id(&event), attempt_span(&event, &uuid, delivery, attempt));
            let parts: Vec<&str> = value.split('-').collect();
            prop_assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [2, 32, 16, 2]);
            prop_assert!(value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-')));
        }
    }
}
