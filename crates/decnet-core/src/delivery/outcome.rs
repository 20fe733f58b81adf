//! What an attempt came to, and the verdict on it.

use std::time::{Duration, SystemTime};

use crate::limits::MAX_RETRY_AFTER;
use crate::time::UnixMicros;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered.
    Replied {
        /// HTTP status code.
        status: u16,
        /// What its `Retry-After` asked for, see [`retry_after`].
        retry_after: Option<Duration>,
    },
    /// No answer that could be read.
    Failed(Reason),
    /// Nothing was sent because this host lacked something that a connection takes: a descriptor, a local port,
    /// memory, trusted root certificates. It says nothing about the receiver.
    LocalFault,
}

/// Why an attempt did not deliver, or a delivery ended. Closed, stored with the attempt, shown to the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host name did not resolve.
    Resolve,
    /// The host resolves to an address that the egress guard forbids.
    Forbidden,
    /// No connection could be made.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection was lost before the head of a reply was complete, or a 2xx came before the whole request was sent
    /// and the rest could not be sent.
    Disconnected,
    /// The reply was not valid HTTP, or the receiver sent too much.
    Protocol,
    /// A fault of this host or of this program.
    Internal,
    /// 3xx except 304; redirects are never followed.
    Redirect,
    /// 400, 413, 415, 422: this body is refused, which says nothing about the receiver's health.
    BodyRefused,
    /// Any other final status.
    Refused,
    /// 410: the receiver wants no more.
    Gone,
    /// 408 or 425: come again.
    ComeAgain,
    /// 429.
    Throttled,
    /// 5xx.
    ServerError,
    /// It waited longer than retention allows.
    Expired,
    /// Its subscription was deleted.
    Deleted,
    /// Its event was erased before it was delivered.
    Erased,
}

/// What an outcome means for the delivery, apart from when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// 2xx.
    Delivered,
    /// Try again; not before `after`, if the receiver said so.
    Retry {
        /// Why it failed.
        reason: Reason,
        /// The receiver's own wish.
        after: Option<Duration>,
    },
    /// Final.
    Reject(Reason),
    /// Keep it and stop sending to this subscription.
    Park(Reason),
    /// No attempt was made; the delivery keeps its place and its retries.
    Postpone,
}

impl Verdict {
    /// Returns why it was not delivered; none if it was.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match *self {
            Self::Delivered => None,
            Self::Postpone => Some(Reason::Internal),
            Self::Retry { reason, .. } | Self::Reject(reason) | Self::Park(reason) => Some(reason),
        }
    }

    /// The same verdict on a probe: a receiver that is still away uses up none of the retries of what is parked,
    /// nor puts them off.
    #[must_use]
    pub fn of_probe(&self) -> Self {
        match self {
            Self::Retry { reason, .. } => Self::Park(*reason),
            other => other.clone(),
        }
    }

    /// The same verdict on one of so many events that were sent together. A body that is refused may be another's
    /// fault, or only too large: each goes again at once, in [smaller company](crate::settings::Batch::max_events_after).
    #[must_use]
    pub fn of_member(&self, members: usize) -> Self {
        match self {
            Self::Reject(Reason::BodyRefused) if members > 1 => Self::Park(Reason::BodyRefused),
            other => other.clone(),
        }
    }
}

impl Reason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Self; 18] = [
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
        Self::ComeAgain,
        Self::Throttled,
        Self::ServerError,
        Self::Expired,
        Self::Deleted,
        Self::Erased,
    ];

    /// The stable number under which it is stored, from 1.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8 + 1
    }

    /// The reason with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// The stable name under which it is shown and filtered.
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
            Self::ComeAgain => "come_again",
            Self::Throttled => "throttled",
            Self::ServerError => "server_error",
            Self::Expired => "expired",
            Self::Deleted => "subscription_deleted",
            Self::Erased => "erased",
        }
    }

    /// Does it speak against the receiver's health? A refused body does not: the next one may pass.
    #[must_use]
    pub fn blames_receiver(self) -> bool {
        !matches!(self, Self::BodyRefused | Self::Expired | Self::Deleted | Self::Erased)
    }
}

/// A text that names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no reason; reasons are named like `timeout` or `server_error`")]
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

/// Returns the verdict on an outcome: 2xx delivers, what may pass by itself is retried, all else is final.
#[must_use]
pub fn classify(outcome: &Outcome) -> Verdict {
    let (status, after) = match *outcome {
        Outcome::LocalFault => return Verdict::Postpone,
        Outcome::Failed(reason) => return Verdict::Retry { reason, after: None },
        Outcome::Replied { status, retry_after } => (status, retry_after),
    };
    match status {
        200..=299 => Verdict::Delivered,
        // RFC 9110 section 15.4.5: 304 answers a conditional request, which a POST of ours never is.
        304 => Verdict::Reject(Reason::Refused),
        300..=399 => Verdict::Reject(Reason::Redirect),
        400 | 413 | 415 | 422 => Verdict::Reject(Reason::BodyRefused),
        408 | 425 => Verdict::Retry { reason: Reason::ComeAgain, after: None },
        410 => Verdict::Park(Reason::Gone),
        429 => Verdict::Retry { reason: Reason::Throttled, after },
        503 => Verdict::Retry { reason: Reason::ServerError, after },
        500..=599 => Verdict::Retry { reason: Reason::ServerError, after: None },
        _ => Verdict::Reject(Reason::Refused),
    }
}

/// Reads a `Retry-After`: whole seconds or an HTTP date (RFC 9110 section 10.2.3), at most [`MAX_RETRY_AFTER`].
///
/// Seconds with a fraction, which the RFC does not allow but many servers send, are rounded up. A date that has passed asks
/// for nothing; what cannot be read is ignored.
#[must_use]
pub fn retry_after(value: &str, now: UnixMicros) -> Option<Duration> {
    let value = value.trim();
    seconds(value).or_else(|| time_until(value, now)).map(|asked| asked.min(MAX_RETRY_AFTER))
}

/// Reads `30` or `30.5`, rounded up to whole seconds.
fn seconds(text: &str) -> Option<Duration> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let rounded_up = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(Duration::from_secs(whole.parse().unwrap_or(u64::MAX).saturating_add(rounded_up)))
}

/// Reads an HTTP date as the time until then.
fn time_until(text: &str, now: UnixMicros) -> Option<Duration> {
    let date = httpdate::parse_http_date(text).ok()?;
    let since_epoch = date.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixMicros(0).after(since_epoch).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_by_status() {
        let after = Some(Duration::from_secs(7));
        let verdict = |status| classify(&Outcome::Replied { status, retry_after: after });
        let retry = |reason, after| Verdict::Retry { reason, after };
        for (statuses, expected) in [
            (&[200, 201, 204, 299][..], Verdict::Delivered),
            (&[300, 301, 302, 303, 307, 308], Verdict::Reject(Reason::Redirect)),
            (&[400, 413, 415, 422], Verdict::Reject(Reason::BodyRefused)),
            (&[304, 401, 403, 404, 405, 409, 418, 499, 100, 600, 999], Verdict::Reject(Reason::Refused)),
            (&[410], Verdict::Park(Reason::Gone)),
            (&[408, 425], retry(Reason::ComeAgain, None)),
            (&[429], retry(Reason::Throttled, after)),
            (&[503], retry(Reason::ServerError, after)),
            (&[500, 502, 504, 599], retry(Reason::ServerError, None)),
        ] {
            for &status in statuses {
                assert_eq!(verdict(status), expected, "{status}");
            }
        }
        assert_eq!(classify(&Outcome::Failed(Reason::Connect)), retry(Reason::Connect, None));
        assert_eq!(classify(&Outcome::LocalFault), Verdict::Postpone);
    }

    #[test]
    fn an_event_is_not_refused_for_the_company_it_was_in() {
        let refused = Verdict::Reject(Reason::BodyRefused);
        assert_eq!(refused.of_member(2), Verdict::Park(Reason::BodyRefused));
        assert_eq!(refused.of_member(1), refused);
        for other in [
            Verdict::Delivered,
            Verdict::Reject(Reason::Refused),
            Verdict::Park(Reason::Gone),
            Verdict::Postpone,
        ] {
            assert_eq!(other.of_member(9), other);
        }
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_date() {
        let now = UnixMicros(1_445_412_470_000_000);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        for (decimal, whole) in [("1.5", 2), ("0.001", 1), ("30.0", 30), ("30.000001", 31)] {
            assert_eq!(retry_after(decimal, now), Some(Duration::from_secs(whole)), "{decimal}");
        }
        for much in ["3601", "30000", "1445412480", "99999999999999999999999", "99999999999999999999999.5"] {
            assert_eq!(retry_after(much, now), Some(MAX_RETRY_AFTER), "{much}");
        }
        assert_eq!(retry_after("Wed, 21 Oct 2065 07:28:00 GMT", now), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(Duration::ZERO));
        for ignored in ["", "-1", "soon", ".5", "1.", "1.5s", "1e3", "30, 60", "1.2.3"] {
            assert_eq!(retry_after(ignored, now), None, "{ignored}");
        }
    }

    #[test]
    fn codes_and_names_are_stable_and_unique() {
        for reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert_eq!(Reason::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count(), 1);
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::Erased.code(), 18);
        assert_eq!(Reason::from_code(19), None);
    }
}
