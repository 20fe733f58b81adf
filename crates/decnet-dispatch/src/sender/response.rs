//! A reply: its status decides; of its body only the beginning is kept, and not much more is read.

use bytes::{Bytes, BytesMut};
use decnet_core::delivery::{Outcome, retry_after};
use decnet_core::limits::KEPT_REPLY_BYTES;
use decnet_core::redact::EndpointUrl;
use decnet_core::time::UnixMicros;
use http::StatusCode;

use super::{http1, http2};

/// How the reading of a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All of it was read: the connection can serve again.
    Whole,
    /// It is longer than we read: the connection is closed.
    TooLong,
    /// Its length is invalid, so it was not read: the connection is closed.
    Unframed,
    /// The connection broke.
    Broken,
    /// The deadline passed first.
    Late,
}

/// A reply whose body has not been read.
pub(super) enum Reply {
    Http1(http1::Head),
    /// Boxed since it would make every attempt larger.
    Http2(Box<http2::Reply>),
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Http1(head) => head.status,
            Self::Http2(reply) => reply.status(),
        }
    }

    /// What its status line and headers say.
    pub(super) fn outcome(&self, now: UnixMicros) -> Outcome {
        let asked = match self {
            Self::Http1(head) => head.retry_after.as_deref(),
            Self::Http2(reply) => reply.retry_after(),
        };
        let retry_after = asked.and_then(|text| retry_after(text, now));
        Outcome::Replied { status: self.status(), retry_after }
    }

    /// Where a redirect leads, as far as it may be shown: the rest of a URL may be a secret.
    pub(super) fn redirect(&self) -> Option<Box<str>> {
        let location = match self {
            Self::Http1(head) => head.location.as_deref(),
            Self::Http2(reply) => reply.location(),
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
    let Outcome::Replied { status, retry_after } = *outcome else { return None };
    let note = match (status, end, redirect) {
        (300..=303 | 305..=399, _, Some(target)) => &*format!("; redirects are not followed ({target})"),
        (300..=303 | 305..=399, _, None) => "; redirects are not followed",
        (_, End::Broken, _) => "; the connection was lost within its body",
        (_, End::Late, _) => "; its body did not end in time",
        (_, End::Unframed, _) => "; its content-length is invalid, so its body was not read",
        (200..=299, End::Whole | End::TooLong, _) => return None,
        (_, End::Whole | End::TooLong, _) => "",
    };
    let wait = retry_after.filter(|wait| matches!(status, 429 | 503) && !wait.is_zero());
    let wait = wait.map_or_else(String::new, |wait| format!("; asks to wait {} s", wait.as_secs()));
    Some(format!("HTTP {}{wait}{note}", status_text(status)).into())
}

/// A status with its reason phrase, if it is a common one.
pub(super) fn status_text(status: u16) -> String {
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    phrase.map_or_else(|| status.to_string(), |phrase| format!("{status} {phrase}"))
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
