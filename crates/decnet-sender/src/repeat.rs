//! The decision whether a request is sent again within its attempt.
//!
//! A request without a reply is normally retried by another attempt. Two cases are repeated at once, because they do not
//! indicate anything about the receiver's health:
//!
//! - The request was certainly not processed: none of it was sent, or the receiver declares so (RFC 9113 sections 6.8 and
//!   8.7).
//! - A reused connection ended before the first byte of a reply. Most likely the receiver closed it while it was idle
//!   (RFC 9112 section 9.3.1), but it may have processed the request. Delivery is at least once and `webhook-id` remains
//!   unchanged, so the request is sent once more, on a new connection.

use decnet_core::delivery::Reason;
use decnet_core::limits::MAX_SENDS_PER_ATTEMPT;

use crate::fault::Fault;
use crate::pool::Precaution;
use crate::{http1, http2, texts};

/// The failure of a request that got no reply on a connection, and its consequences.
pub(crate) struct NoReply {
    pub(crate) fault: Fault,
    pub(crate) kind: NoReplyKind,
    /// The precaution to take for further connections to the origin.
    pub(crate) precaution: Option<Precaution>,
    /// Whether the connection can still be used.
    pub(crate) leaves_connection_open: bool,
}

/// The known extent to which a request without a reply was processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReplyKind {
    /// No byte of the request was sent.
    Unsent,
    /// The receiver declares that it did not process the request.
    Unprocessed,
    /// The connection ended before the first byte of a reply.
    ConnectionEnded,
    /// Any other failure: the request may have been processed.
    Unknown,
}

impl NoReply {
    /// Returns the failure of a request whose connection was found closed before anything was sent.
    pub(crate) fn unsent() -> Self {
        Self::http1(&http1::Error::Unsent, false)
    }

    /// Returns the failure of a request over HTTP/1.1; `has_received` is whether any byte of a reply has arrived.
    pub(crate) fn http1(error: &http1::Error, has_received: bool) -> Self {
        use http1::Error;
        let ended = if has_received { NoReplyKind::Unknown } else { NoReplyKind::ConnectionEnded };
        let (reason, kind) = match error {
            Error::Unsent => (Reason::Disconnected, NoReplyKind::Unsent),
            // TLS 1.3 lets a receiver reject a client without a certificate after the handshake (RFC 8446 section 4.4.2.4).
            Error::Lost(error) if texts::tls_cause(error).is_some() => (Reason::Tls, ended),
            Error::Closed | Error::Lost(_) => (Reason::Disconnected, ended),
            // The receiver sent these bytes before the request.
            Error::Unsolicited => (Reason::Protocol, NoReplyKind::ConnectionEnded),
            Error::TooLarge | Error::Malformed(_) | Error::Encrypted => {
                (Reason::Protocol, NoReplyKind::Unknown)
            }
        };
        let precaution = matches!(error, Error::Unsolicited).then_some(Precaution::NoReuse);
        let fault = Fault::new(reason, error.to_string());
        Self { fault, kind, precaution, leaves_connection_open: false }
    }

    /// Returns the failure of a request over HTTP/2.
    pub(crate) fn http2(error: &http2::Error) -> Self {
        use http2::Error;
        let (reason, kind) = match error {
            Error::Unsent => (Reason::Disconnected, NoReplyKind::Unsent),
            Error::Unprocessed(_) => (Reason::Disconnected, NoReplyKind::Unprocessed),
            Error::Http1Required => (Reason::Protocol, NoReplyKind::Unprocessed),
            Error::Lost(error) if texts::is_alert(error) => (Reason::Tls, NoReplyKind::ConnectionEnded),
            Error::Closed | Error::Lost(_) => (Reason::Disconnected, NoReplyKind::ConnectionEnded),
            Error::Flooded => (Reason::Protocol, NoReplyKind::ConnectionEnded),
            Error::Reset(_) => (Reason::Disconnected, NoReplyKind::Unknown),
            Error::Violation(_) => (Reason::Protocol, NoReplyKind::Unknown),
            Error::Internal(_) => (Reason::Internal, NoReplyKind::Unknown),
        };
        let precaution = matches!(error, Error::Http1Required | Error::Flooded).then_some(Precaution::Http1);
        let leaves_connection_open = matches!(error, Error::Unprocessed(_) | Error::Reset(_));
        let fault = Fault::new(reason, error.to_string());
        Self { fault, kind, precaution, leaves_connection_open }
    }
}

/// The repeats that an attempt has made, and their limits.
#[derive(Debug, Default)]
pub(crate) struct RepeatBudget {
    /// Repeats of requests that were not sent or not processed.
    unprocessed: u8,
    /// Repeats of requests whose reused connection ended.
    ended: u8,
    /// Repeats of requests that may have reached the receiver.
    used: u8,
}

impl RepeatBudget {
    /// Returns whether a request without a reply may be sent again, and deducts the repeat from the budget. `reused` is whether
    /// its connection had served a request before.
    pub(crate) fn try_repeat(&mut self, kind: NoReplyKind, reused: bool) -> bool {
        let (count, max) = match kind {
            NoReplyKind::Unprocessed => (&mut self.unprocessed, MAX_SENDS_PER_ATTEMPT - 1),
            NoReplyKind::Unsent if reused => (&mut self.unprocessed, MAX_SENDS_PER_ATTEMPT - 1),
            NoReplyKind::ConnectionEnded if reused => (&mut self.ended, 1),
            NoReplyKind::Unsent | NoReplyKind::ConnectionEnded | NoReplyKind::Unknown => return false,
        };
        if *count == max {
            return false;
        }
        *count += 1;
        true
    }

    /// Records that the request is sent again, if it may have reached the receiver before.
    pub(crate) fn record(&mut self, kind: NoReplyKind) {
        self.used += u8::from(kind != NoReplyKind::Unsent);
    }

    /// Returns the number of repeats of a request that may have reached the receiver before.
    pub(crate) fn used(&self) -> u8 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_connection_allows_one_repeat_if_it_was_reused() {
        assert!(!RepeatBudget::default().try_repeat(NoReplyKind::ConnectionEnded, false));
        let mut budget = RepeatBudget::default();
        assert!(
            budget.try_repeat(NoReplyKind::ConnectionEnded, true)
                && !budget.try_repeat(NoReplyKind::ConnectionEnded, true)
        );
    }

    #[test]
    fn unprocessed_requests_are_repeated_up_to_the_bound() {
        let mut budget = RepeatBudget::default();
        let sends =
            1 + (0..u8::MAX).take_while(|_| budget.try_repeat(NoReplyKind::Unprocessed, false)).count();
        assert_eq!(sends, usize::from(MAX_SENDS_PER_ATTEMPT));
    }

    #[test]
    fn unsent_request_is_not_counted_as_a_repeat() {
        let mut budget = RepeatBudget::default();
        assert!(
            budget.try_repeat(NoReplyKind::Unsent, true) && !budget.try_repeat(NoReplyKind::Unsent, false)
        );
        budget.record(NoReplyKind::Unsent);
        assert_eq!(budget.used(), 0);
        budget.record(NoReplyKind::ConnectionEnded);
        assert_eq!(budget.used(), 1);
    }

    #[test]
    fn request_that_may_have_been_processed_is_not_repeated() {
        for reused in [false, true] {
            assert!(!RepeatBudget::default().try_repeat(NoReplyKind::Unknown, reused));
        }
    }
}
