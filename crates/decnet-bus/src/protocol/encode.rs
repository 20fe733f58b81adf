//! Encoding of frames into a buffer that the caller reuses.

use std::io::Write as _;

use decnet_core::limits::{
    EVENT_ENVELOPE_BYTES, MAX_BODY_BYTES, MAX_HEADER_BYTES, PUBLICATION_ENVELOPE_BYTES,
};
use serde::Serialize;

use super::Verb;
use super::decode::{LENGTH_BYTES, is_python_space};

/// The fields that the server adds to an event in addition to its topic.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// 32 hexadecimal digits.
    pub id: &'a str,
    /// Microseconds since the Unix epoch; sent as decimal seconds.
    pub micros: u64,
    /// The type as JSON.
    pub kind: &'a str,
    /// The payload as JSON.
    pub payload: &'a str,
}

/// The reason why a frame cannot be encoded.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The peer would reject the topic or pattern, or read it differently.
    #[error("topic or pattern {0:?} is not printable ASCII without a space at its ends")]
    Args(Box<str>),
    /// The topic or pattern is too long for a header line.
    #[error("topic or pattern of {0} bytes does not fit a header of {MAX_HEADER_BYTES} bytes")]
    HeaderTooLong(usize),
    /// The body is too large for one frame.
    #[error("body of {0} bytes exceeds the maximum of {MAX_BODY_BYTES}")]
    BodyTooLong(usize),
    /// The event's `EVT` frame would be too large.
    #[error("type and payload have {found} bytes as JSON; an event on this topic carries at most {most}")]
    EventTooLong {
        /// The size of type and payload, in bytes.
        found: usize,
        /// The maximum size of type and payload, in bytes.
        most: usize,
    },
    /// The payload cannot be serialized.
    #[error("cannot serialize the payload: {0}")]
    Payload(#[from] serde_json::Error),
}

/// Checks that the header of a `verb` frame can carry `args` unchanged.
///
/// # Errors
/// `args` has a line break, a character outside ASCII or white space at an end, or is too long.
pub fn check_args(verb: Verb, args: &str) -> Result<(), EncodeError> {
    let ends = [args.bytes().next(), args.bytes().next_back()];
    let has_space_end = ends.into_iter().flatten().any(is_python_space);
    if has_space_end || !args.is_ascii() || args.contains(['\r', '\n']) {
        return Err(EncodeError::Args(args.chars().take(80).collect()));
    }
    if verb.as_str().len() + args.len() + " \n".len() > MAX_HEADER_BYTES {
        return Err(EncodeError::HeaderTooLong(args.len()));
    }
    Ok(())
}

/// Appends one frame to `out`. On an error, `out` is unchanged.
///
/// # Errors
/// See [`EncodeError`].
pub fn encode(out: &mut Vec<u8>, verb: Verb, args: &str, body: &[u8]) -> Result<(), EncodeError> {
    framed(out, verb, args, |out| {
        out.extend_from_slice(body);
        Ok(())
    })
}

/// Appends the `PUB` frame of an event, with the two fields that a server reads.
///
/// # Errors
/// See [`EncodeError`]; `out` is then unchanged. Events that the server could not relay are rejected here.
pub fn encode_publication(
    out: &mut Vec<u8>,
    topic: &str,
    kind: &str,
    payload: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    framed(out, Verb::Pub, topic, |out| {
        let start = out.len();
        out.extend_from_slice(b"{\"type\":");
        serde_json::to_writer(&mut *out, kind)?;
        out.extend_from_slice(b",\"payload\":");
        serde_json::to_writer(&mut *out, payload)?;
        out.push(b'}');
        check_event_len(topic, out.len() - start - PUBLICATION_ENVELOPE_BYTES)
    })
}

/// Appends the `EVT` frame of an event. The payload is copied verbatim.
///
/// # Errors
/// See [`EncodeError`]; `out` is then unchanged.
pub fn encode_event(out: &mut Vec<u8>, topic: &str, envelope: &Envelope<'_>) -> Result<(), EncodeError> {
    let Envelope { id, micros, kind, payload } = envelope;
    framed(out, Verb::Evt, topic, |out| {
        check_event_len(topic, kind.len() + payload.len())?;
        write!(out, "{{\"v\":1,\"id\":\"{id}\",\"topic\":").expect("writing to a vector does not fail");
        serde_json::to_writer(&mut *out, topic)?;
        let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
        write!(out, ",\"type\":{kind},\"ts\":{seconds}.{fraction:06},\"payload\":{payload}}}")
            .expect("writing to a vector does not fail");
        Ok(())
    })
}

/// Rejects an event whose `EVT` body would exceed [`MAX_BODY_BYTES`]. `found` is the length of type and payload as JSON.
fn check_event_len(topic: &str, found: usize) -> Result<(), EncodeError> {
    let most = MAX_BODY_BYTES.saturating_sub(EVENT_ENVELOPE_BYTES + json_len(topic));
    if found > most { Err(EncodeError::EventTooLong { found, most }) } else { Ok(()) }
}

/// Returns the length of an ASCII text as a JSON string.
fn json_len(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\x08' | b'\t' | b'\n' | b'\x0c' | b'\r' => 2,
        0..=0x1f => 6,
        _ => 1,
    };
    2 + text.bytes().map(escaped).sum::<usize>()
}

/// Checks `args`, and writes header, length and body. The length is filled in last; if the body fails, `out` is truncated again.
fn framed(
    out: &mut Vec<u8>,
    verb: Verb,
    args: &str,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    check_args(verb, args)?;
    let before = out.len();
    out.extend_from_slice(verb.as_str().as_bytes());
    if !args.is_empty() {
        out.push(b' ');
        out.extend_from_slice(args.as_bytes());
    }
    out.extend_from_slice(b"\n\0\0\0\0");
    let start = out.len();
    let written = body(out).and_then(|()| {
        let len = out.len() - start;
        u32::try_from(len).ok().filter(|_| len <= MAX_BODY_BYTES).ok_or(EncodeError::BodyTooLong(len))
    });
    match written {
        Ok(length) => out[start - LENGTH_BYTES..start].copy_from_slice(&length.to_be_bytes()),
        Err(_) => out.truncate(before),
    }
    written.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_decnets_format() {
        let mut out = Vec::new();
        encode(&mut out, Verb::Hello, "me", b"").unwrap();
        encode_publication(&mut out, "a.b", "t", &serde_json::json!({"x": 1})).unwrap();
        let expected: &[u8] = b"HELLO me\n\0\0\0\0PUB a.b\n\0\0\0\x1e{\"type\":\"t\",\"payload\":{\"x\":1}}";
        assert_eq!(out, expected);
    }

    #[test]
    fn a_failed_frame_leaves_the_buffer_unchanged() {
        let mut out = b"before".to_vec();
        let large = "x".repeat(MAX_BODY_BYTES);
        assert!(matches!(
            encode_publication(&mut out, "a", "", &large),
            Err(EncodeError::EventTooLong { .. })
        ));
        assert!(matches!(encode(&mut out, Verb::Pub, "a", large.as_bytes()), Ok(())));
        out.truncate("before".len());
        let larger = [large.as_bytes(), b"x"].concat();
        assert!(matches!(encode(&mut out, Verb::Pub, "a", &larger), Err(EncodeError::BodyTooLong(_))));
        assert!(matches!(encode(&mut out, Verb::Sub, "a\nb", b""), Err(EncodeError::Args(_))));
        assert!(matches!(encode(&mut out, Verb::Sub, " a", b""), Err(EncodeError::Args(_))));
        let long = "a".repeat(MAX_HEADER_BYTES);
        assert!(matches!(encode(&mut out, Verb::Sub, &long, b""), Err(EncodeError::HeaderTooLong(_))));
        assert_eq!(out, b"before");
    }

    /// Returns the largest payload size for which `encode` succeeds.
    fn largest(encode: impl Fn(&str) -> Result<(), EncodeError>) -> usize {
        let sizes: Vec<usize> = (MAX_BODY_BYTES - 8192..MAX_BODY_BYTES).collect();
        sizes[sizes.partition_point(|size| encode(&format!("\"{}\"", "x".repeat(size - 2))).is_ok()) - 1]
    }

    #[test]
    fn client_and_server_reject_the_same_events() {
        for (topic, kind) in [("a", ""), ("a.\"\\\u{1}\t.b", "t\n\u{1}\u{e9}"), (&"a".repeat(4000), "k")] {
            let kind_json = serde_json::to_string(kind).unwrap();
            let sent = largest(|payload| {
                let payload: &serde_json::value::RawValue = serde_json::from_str(payload).unwrap();
                encode_publication(&mut Vec::new(), topic, kind, payload)
            });
            for micros in [0, u64::MAX] {
                let (id, kind) = (&"f".repeat(32), &kind_json);
                let relayed = largest(|payload| {
                    encode_event(&mut Vec::new(), topic, &Envelope { id, micros, kind, payload })
                });
                assert_eq!(sent, relayed, "{topic:.20}");
            }
        }
    }

    #[test]
    fn the_envelope_constants_are_exact() {
        let (mut publication, mut event) = (Vec::new(), Vec::new());
        encode_publication(&mut publication, "a", "", &()).unwrap();
        let id = &"f".repeat(32);
        encode_event(&mut event, "a", &Envelope { id, micros: u64::MAX, kind: "\"\"", payload: "null" })
            .unwrap();
        let body = |frame: &[u8]| frame.len() - "PUB a\n".len() - LENGTH_BYTES;
        assert_eq!(body(&publication), PUBLICATION_ENVELOPE_BYTES + "\"\"null".len());
        assert_eq!(body(&event), EVENT_ENVELOPE_BYTES + "\"a\"\"\"null".len());
    }

    proptest::proptest! {
        #[test]
        fn json_len_equals_serde_output(text in "[ -~\\x00-\\x1f\\x7f]{0,40}") {
            proptest::prop_assert_eq!(json_len(&text), serde_json::to_string(&text).unwrap().len());
        }
    }

    #[test]
    fn an_event_frame_has_an_envelope() {
        let mut out = Vec::new();
        let envelope = Envelope { id: "ab", micros: 1_500_000, kind: "\"t\"", payload: "{ }" };
        encode_event(&mut out, "a.\"", &envelope).unwrap();
        let body = &out[out.iter().position(|&b| b == b'{').unwrap()..];
        assert_eq!(
            body,
            br#"{"v":1,"id":"ab","topic":"a.\"","type":"t","ts":1.500000,"payload":{ }}"#.as_slice()
        );
    }
}
