//! A reply: its status decides; of its body only the beginning is kept, and not much more is read.

use bytes::{Bytes, BytesMut};
use decnet_core::delivery::{Outcome, retry_after};
use decnet_core::limits::{KEPT_REPLY_BYTES, MAX_REPLY_BYTES};
use decnet_core::redact::EndpointUrl;
use decnet_core::time::UnixMicros;
use http::header::{HeaderValue, LOCATION, RETRY_AFTER};
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

    /// Where a redirect leads, as far as it may be shown: the rest of a URL may be a secret.
    pub(super) fn redirect(&self) -> Option<Box<str>> {
        let location = match self {
            Self::Http1(head) => head.location.as_deref(),
            Self::Http2(reply) if reply.status().is_redirection() => text(reply.headers().get(LOCATION)),
            Self::Http2(_) => None,
        };
        Some(target(location?).into())
    }
}

/// Names the target of a redirect (RFC 9110 section 10.2.2) by its scheme, host and port.
fn target(location: &str) -> String {
    match EndpointUrl::new(location) {
        Ok(url) => format!("to {url}"),
        Err(_) if location.starts_with("//") => "to another host".into(),
        Err(_) if location.contains("://") => "to a URL that cannot be used".into(),
        Err(_) => "to another path of this receiver".into(),
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

/// Describes a reply that did not deliver, or that ended badly; `redirect` is where it leads.
pub(super) fn detail(outcome: &Outcome, end: End, redirect: Option<&str>) -> Option<Box<str>> {
    let Outcome::Replied { status, .. } = *outcome else { return None };
    let note = match (status, end, redirect) {
        (300..=303 | 305..=399, _, Some(target)) => &*format!("; redirects are not followed ({target})"),
        (300..=303 | 305..=399, _, None) => "; redirects are not followed",
        (_, End::Broken, _) => "; the connection was lost within its body",
        (_, End::Late, _) => "; its body did not end in time",
        (200..=299, End::Whole | End::TooLong, _) => return None,
        (_, End::Whole | End::TooLong, _) => "",
    };
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let phrase = phrase.map_or_else(String::new, |phrase| format!(" {phrase}"));
    Some(format!("HTTP {status}{phrase}{note}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_names_its_target_and_nothing_secret() {
        for (location, expected) in [
            ("https://elsewhere.example/", "to https://elsewhere.example/"),
            (
                "https://user:hunter2@elsewhere.example:8443/token?key=1",
                "to https://elsewhere.example:8443/…",
            ),
            ("/login?next=secret", "to another path of this receiver"),
            ("login", "to another path of this receiver"),
            ("//elsewhere.example/secret", "to another host"),
            ("ftp://elsewhere.example/secret", "to a URL that cannot be used"),
        ] {
            assert_eq!(target(location), expected, "{location}");
        }
    }

    #[test]
    fn only_a_redirect_is_called_one() {
        let of = |status, redirect| {
            detail(&Outcome::Replied { status, retry_after: None }, End::Whole, redirect).unwrap_or_default()
        };
        assert_eq!(
            &*of(308, Some("to https://a.example/…")),
            "HTTP 308 Permanent Redirect; redirects are not followed (to https://a.example/…)"
        );
        assert_eq!(&*of(301, None), "HTTP 301 Moved Permanently; redirects are not followed");
        assert_eq!(&*of(304, Some("to https://a.example/…")), "HTTP 304 Not Modified");
    }
}
