//! A reply: its status decides; of its body only the beginning is kept, and not much more is read.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use decnet_core::delivery::{Outcome, retry_after};
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_core::time::UnixMicros;
use http::header::RETRY_AFTER;
use http::response::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// How the reading of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was read: the connection can serve again.
    Whole,
    /// It is longer than we read: the connection is given up.
    TooLong,
    /// The connection broke.
    Broken,
    /// The deadline passed first.
    Late,
}

/// What the status line and headers say.
pub(super) fn outcome(head: &Parts, now: UnixMicros) -> Outcome {
    Outcome::Replied { status: head.status.as_u16(), retry_after: asked_delay(&head.headers, now) }
}

fn asked_delay(headers: &HeaderMap, now: UnixMicros) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, now)
}

/// Reads a body to its end or to [`MAX_REPLY_BYTES`]; `kept` gets the first [`KEPT_REPLY_BYTES`] as they come.
pub(super) async fn read(mut body: Incoming, kept: &mut Kept) -> End {
    let mut read = 0;
    while !body.is_end_stream() {
        let data = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => return End::Broken,
            None => break,
        };
        read += data.len();
        kept.add(&data);
        if read > MAX_REPLY_BYTES {
            return End::TooLong;
        }
    }
    End::Whole
}

/// The beginning of a body. Copied, so that four kept bytes do not hold a connection's whole buffer.
#[derive(Default)]
pub(super) struct Kept(BytesMut);

impl Kept {
    fn add(&mut self, data: &[u8]) {
        let room = KEPT_REPLY_BYTES - self.0.len();
        self.0.extend_from_slice(&data[..data.len().min(room)]);
    }

    pub(super) fn into_bytes(self) -> Bytes {
        self.0.freeze()
    }
}

/// What an operator should read about a reply that did not deliver, or that ended badly.
pub(super) fn detail(outcome: &Outcome, end: End) -> Option<Box<str>> {
    let Outcome::Replied { status, .. } = *outcome else { return None };
    let note = match (status, end) {
        (300..=399, _) => "; redirects are not followed",
        (_, End::Broken) => "; the connection was lost within its body",
        (_, End::Late) => "; its body did not end in time",
        (200..=299, End::Whole | End::TooLong) => return None,
        (_, End::Whole | End::TooLong) => "",
    };
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let phrase = phrase.map_or_else(String::new, |phrase| format!(" {phrase}"));
    Some(format!("HTTP {status}{phrase}{note}").into())
}
