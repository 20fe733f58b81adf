//! The outcome of an attempt.

use std::time::{Duration, SystemTime};

use crate::limits::MAX_RETRY_AFTER;
use crate::time::UnixMicros;

/// The outcome of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Replied {
        /// The HTTP status code.
        status: u16,
        /// The wait that `Retry-After` requests; see [`retry_after`].
        retry_after: Option<Duration>,
    },
    /// No valid HTTP reply came before the deadline.
    Failed(Reason),
    /// Nothing was sent because this host lacked something that a connection needs: a file descriptor, a local port,
    /// memory, trusted root certificates, or its proxy.
    LocalFault,
}

impl Outcome {
    /// Returns the status of the reply, if there was one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match *self {
            Self::Replied { status, .. } => Some(status),
            Self::Failed(_) | Self::LocalFault => None,
        }
    }
}

/// The reason why an attempt failed, or why a delivery is dead. Stored with the attempt and shown to operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host name did not resolve.
    Resolve,
    /// The host name resolves to an address that the egress guard forbids.
    Forbidden,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The attempt did not finish before its deadline.
    Timeout,
    /// The connection was lost before the head of a reply was complete, or after a 2xx that arrived before the whole request
    /// was sent.
    Disconnected,
    /// The reply was not valid HTTP, or the receiver sent too much.
    Protocol,
    /// A fault of this host or of this program.
    Internal,
    /// A 3xx status except 304. Redirects are never followed.
    Redirect,
    /// Status 400, 413, 415 or 422: the receiver refuses this body, but may accept the body of the next event.
    BodyRefused,
    /// Any other status that a retry would not change.
    Refused,
    /// Status 410: the receiver asks for no further requests.
    Gone,
    /// Status 408 or 425: the receiver asks for the same request again.
    RetryRequested,
    /// Status 429.
    Throttled,
    /// A 5xx status.
    ServerError,
    /// The delivery waited longer than retention allows.
    Expired,
    /// The subscription was deleted.
    Deleted,
    /// The event was erased before it was delivered.
    Erased,
    /// The subscription's filter could not be evaluated for the event.
    Filter,
    /// The subscription's template or format could not render the event.
    Template,
    /// The destination refuses the credentials of the subscription (401 or 403 of a format with credentials), or its authorization
    /// server does.
    Unauthorized,
}

impl Reason {
    /// All reasons, in the order of their codes.
    pub const ALL: [Self; 21] = [
        Self::Resolve,
        Self::Forbidden,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::Disconnected,
        Self::Protocol,
        Self::Internal,
        Self::Redirect,
        Self::BodyRefused,
        Self::Refused,
        Self::Gone,
        Self::RetryRequested,
        Self::Throttled,
        Self::ServerError,
        Self::Expired,
        Self::Deleted,
        Self::Erased,
        Self::Filter,
        Self::Template,
        Self::Unauthorized,
    ];

    /// Returns the stable number of the reason in the queue file, from 1.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// Returns the reason with a stored number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// Returns the stable name of the reason, as in the API, in filters and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Forbidden => "forbidden_address",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Disconnected => "disconnected",
            Self::Protocol => "bad_reply",
            Self::Internal => "internal",
            Self::Redirect => "redirect",
            Self::BodyRefused => "body_refused",
            Self::Refused => "refused",
            Self::Gone => "gone",
            Self::RetryRequested => "come_again",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Expired => "expired",
            Self::Deleted => "subscription_deleted",
            Self::Erased => "erased",
            Self::Filter => "filter",
            Self::Template => "template",
            Self::Unauthorized => "unauthorized",
        }
    }
}

/// A text that is not the name of a [`Reason`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a reason; use a name such as `timeout` or `server_error`")]
pub struct ParseReasonError(String);

impl std::str::FromStr for Reason {
    type Err = ParseReasonError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| ParseReasonError(text.to_owned()))
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Parses a `Retry-After`: whole seconds or an HTTP date (RFC 9110 section 10.2.3), at most [`MAX_RETRY_AFTER`].
///
/// Many servers send seconds with a fraction, although the RFC does not allow it; they are rounded up. A date in the past is
/// zero. Returns `None` for any other text.
#[must_use]
pub fn retry_after(value: &str, now: UnixMicros) -> Option<Duration> {
    let value = value.trim();
    seconds(value).or_else(|| time_until(value, now)).map(|wait| wait.min(MAX_RETRY_AFTER))
}

/// Parses `30` or `30.5`, rounded up to whole seconds.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let rounded_up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(Duration::from_secs(whole.parse().unwrap_or(u64::MAX).saturating_add(rounded_up)))
}

/// Parses an HTTP date. Returns the time from `now` until that date.
fn time_until(text: &str, now: UnixMicros) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixMicros(0).after(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UnixMicros(1_445_412_470_000_000);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        for (decimal, whole) in [("1.5", 2), ("0.001", 1), ("30.0", 30), ("30.000001", 31)] {
            assert_eq!(retry_after(decimal, now), Some(Duration::from_secs(whole)), "{decimal}");
        }
        for long in ["3601", "30000", "1445412480", "99999999999999999999999", "99999999999999999999999.5"] {
            assert_eq!(retry_after(long, now), Some(MAX_RETRY_AFTER), "{long}");
        }
        assert_eq!(retry_after("Wed, 21 Oct 2065 07:28:00 GMT", now), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(Duration::ZERO));
        for invalid in ["", "-1", "soon", ".5", "1.", "1.5s", "1e3", "30, 60", "1.2.3"] {
            assert_eq!(retry_after(invalid, now), None, "{invalid}");
        }
    }

    #[test]
    fn codes_and_names_are_stable_and_unique() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert_eq!(Reason::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count(), 1);
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::Unauthorized.code(), 21);
        assert_eq!(Reason::from_code(22), None);
    }
}
