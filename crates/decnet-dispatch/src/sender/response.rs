//! A reply: its status decides; of its body only the beginning is kept, and not much more is read.

use bytes::{Bytes, BytesMut};
use decnet_core::delivery::{Outcome, retry_after};
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_core::time::UnixMicros;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use super::http1;

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

/// A reply whose body has not been read.
pub(super) enum Reply {
    Http1(http1::Head),
    Http2(Response<Incoming>),
}

impl Reply {
    /// What its status line and headers say.
    pub(super) fn outcome(&self, now: UnixMicros) -> Outcome {
        let (status, asked) = match self {
            Self::Http1(head) => (head.status, head.retry_after.as_deref()),
            Self::Http2(reply) => (reply.status().as_u16(), text(reply.headers().get(RETRY_AFTER))),
        };
        Outcome::Replied { status, retry_after: asked.and_then(|text| retry_after(text, now)) }
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value.and_then(|value| value.to_str().ok())
}

/// Reads an HTTP/2 body to its end or to [`MAX_REPLY_BYTES`]; `kept` gets its beginning as it comes.
pub(super) async fn read_http2(mut body: Incoming, kept: &mut Kept) -> End {
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

/// The first [`KEPT_REPLY_BYTES`] of a body. Copied, so that four kept bytes do not hold a connection's whole buffer.
#[derive(Default)]
pub(super) struct Kept(BytesMut);

impl Kept {
    pub(super) fn add(&mut self, data: &[u8]) {
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
