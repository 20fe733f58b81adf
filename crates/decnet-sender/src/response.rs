//! Replies: the status determines the outcome. Only the beginning of the body is kept, and little more is read.

use bytes::{Bytes, BytesMut};
use decnet_core::delivery::{Outcome, retry_after};
use decnet_core::redact::EndpointUrl;
use decnet_core::time::UnixMicros;
use http::StatusCode;

/// The outcome of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// The whole body was read, so the connection can be reused.
    Complete,
    /// The body is longer than the limit. The connection is closed.
    TooLong,
    /// The length of the body is invalid, so it was not read. The connection is closed.
    Unframed,
    /// The connection was lost, or the body is malformed.
    Lost,
    /// The deadline passed first.
    TimedOut,
}

/// The headers by which a receiver says that it accepts no further request for a while
/// (<https://docs.discord.com/developers/topics/rate-limits>).
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct RateLimit {
    /// Whether no request is left.
    pub(crate) is_exhausted: bool,
    /// The seconds until requests are accepted again.
    pub(crate) reset_after: Option<Box<str>>,
}

impl RateLimit {
    pub(crate) const REMAINING: &str = "x-ratelimit-remaining";
    pub(crate) const RESET_AFTER: &str = "x-ratelimit-reset-after";

    /// Returns the wait, if no request is left.
    pub(crate) fn wait(self) -> Option<Box<str>> {
        self.reset_after.filter(|_| self.is_exhausted)
    }
}

/// The status and the relevant headers of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplyHead {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Box<str>>,
    /// The target of a redirect, as received.
    pub(crate) location: Option<Box<str>>,
}

impl ReplyHead {
    /// Returns the outcome, which depends on the status and the headers.
    pub(crate) fn outcome(&self, now: UnixMicros) -> Outcome {
        let retry_after = self.retry_after.as_deref().and_then(|text| retry_after(text, now));
        Outcome::Replied { status: self.status, retry_after }
    }

    /// Describes the target of a redirect without the parts of the URL that may contain a secret.
    pub(crate) fn redirect(&self) -> Option<Box<str>> {
        Some(redirect_target(self.location.as_deref()?).into())
    }
}

/// Describes the target of a redirect (RFC 9110 section 10.2.2) by its scheme, host and port.
fn redirect_target(location: &str) -> String {
    match EndpointUrl::new(location) {
        Ok(url) => format!("to {url}"),
        Err(_) if location.starts_with("//") => "to another host".into(),
        Err(_) if location.contains("://") => "to a URL that cannot be used".into(),
        Err(_) => "to another path of this receiver".into(),
    }
}

/// The names and values of the headers of a reply, in the order of arrival.
pub type ReplyHeaders = Vec<(String, String)>;

/// The beginning of a body, copied so that a few kept bytes do not retain a connection's whole buffer.
pub(crate) struct ReplyPrefix {
    /// The headers before the body, if they are kept. Boxed, because their place would enlarge every attempt.
    headers: Option<Box<ReplyHeaders>>,
    bytes: BytesMut,
    max_bytes: usize,
}

impl ReplyPrefix {
    /// Creates an empty prefix of at most `max_bytes` bytes.
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { headers: None, bytes: BytesMut::new(), max_bytes }
    }

    pub(crate) fn keep_headers(&mut self, headers: ReplyHeaders) {
        self.headers = (!headers.is_empty()).then(|| Box::new(headers));
    }

    pub(crate) fn add(&mut self, data: &[u8]) {
        let left = self.max_bytes - self.bytes.len();
        self.bytes.extend_from_slice(&data[..data.len().min(left)]);
    }

    pub(crate) fn into_parts(self) -> (Bytes, ReplyHeaders) {
        (self.bytes.freeze(), self.headers.map_or_else(ReplyHeaders::new, |headers| *headers))
    }
}

/// Describes a reply with a status other than 2xx, or whose body was lost, late or of an invalid length; `redirect` describes the
/// target of a redirect. Returns `None` for other replies.
pub(crate) fn detail(outcome: &Outcome, end: BodyEnd, redirect: Option<&str>) -> Option<Box<str>> {
    let Outcome::Replied { status, retry_after } = *outcome else { return None };
    let note = match (status, end, redirect) {
        (300..=303 | 305..=399, _, Some(target)) => &*format!("; redirects are not followed ({target})"),
        (300..=303 | 305..=399, _, None) => "; redirects are not followed",
        (_, BodyEnd::Lost, _) => "; the connection was lost within its body",
        (_, BodyEnd::TimedOut, _) => "; its body did not end in time",
        (_, BodyEnd::Unframed, _) => "; its content-length is invalid, so its body was not read",
        (200..=299, BodyEnd::Complete | BodyEnd::TooLong, _) => return None,
        (_, BodyEnd::Complete | BodyEnd::TooLong, _) => "",
    };
    let wait = retry_after.filter(|wait| matches!(status, 429 | 503) && !wait.is_zero());
    let wait = wait.map_or_else(String::new, |wait| format!("; asks to wait {} s", wait.as_secs()));
    Some(format!("HTTP {}{wait}{note}", status_text(status)).into())
}

/// Returns whether a status is 2xx.
pub(crate) fn is_success(status: u16) -> bool {
    (200..=299).contains(&status)
}

/// Formats a status with its standard reason phrase, if it has one.
pub(crate) fn status_text(status: u16) -> String {
    let phrase = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    phrase.map_or_else(|| status.to_string(), |phrase| format!("{status} {phrase}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirect_target_contains_no_secret() {
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
            assert_eq!(redirect_target(location), expected, "{location}");
        }
    }

    #[test]
    fn only_redirects_are_described_as_redirects() {
        let of = |status, redirect| {
            detail(&Outcome::Replied { status, retry_after: None }, BodyEnd::Complete, redirect)
                .unwrap_or_default()
        };
        assert_eq!(
            &*of(308, Some("to https://a.example/…")),
            "HTTP 308 Permanent Redirect; redirects are not followed (to https://a.example/…)"
        );
        assert_eq!(&*of(301, None), "HTTP 301 Moved Permanently; redirects are not followed");
        assert_eq!(&*of(304, Some("to https://a.example/…")), "HTTP 304 Not Modified");
    }
}
