//! When a request is sent again within its attempt.
//!
//! A request without a reply is normally retried by another attempt. Two cases are repeated at once, because they say
//! nothing about the receiver's health:
//!
//! - The request was certainly not processed: none of it was sent, or the receiver declares so (RFC 9113 sections 6.8 and
//!   8.7).
//! - A reused connection ended before the first byte of a reply. Most likely the receiver closed it while it was idle
//!   (RFC 9112 section 9.3.1), but it may have processed the request. Delivery is at least once and `webhook-id` stays the
//!   same, so the request is sent once more, on a new connection.

use decnet_core::limits::MAX_SENDS_PER_ATTEMPT;

use crate::fault::Fault;
use crate::pool::Precaution;
use crate::{http1, http2};

/// The failure of a request that got no reply on a connection, and its consequences.
pub(crate) struct NoReply {
    pub(crate) fault: Fault,
    pub(crate) kind: NoReplyKind,
    /// The precaution to take for further connections to the origin.
    pub(crate) precaution: Option<Precaution>,
    /// Whether the connection can still be used.
    pub(crate) leaves_connection_open: bool,
}

/// What is known about the processing of a request that got no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoReplyKind {
    /// No byte of it was sent.
    Unsent,
    /// The receiver declares that it did not process it.
    Unprocessed,
    /// The connection ended before the first byte of a reply.
    ConnectionEnded,
    /// Any other failure: it may have been processed.
    Unknown,
}

impl NoReply {
    /// Returns the failure of a request whose connection was found closed before anything was sent.
    pub(crate) fn unsent() -> Self {
        Self::http1(http1::Error::Unsent, false)
    }

    /// Returns the failure of a request over HTTP/1.1; `has_received` is whether any byte of a reply has arrived.
    pub(crate) fn http1(error: http1::Error, has_received: bool) -> Self {
        use http1::Error;
        let (kind, precaution) = match &error {
            Error::Unsent => (NoReplyKind::Unsent, None),
            Error::Closed | Error::Lost(_) if !has_received => (NoReplyKind::ConnectionEnded, None),
            // The receiver sent these bytes before the request.
            Error::Unsolicited => (NoReplyKind::ConnectionEnded, Some(Precaution::NoReuse)),
            Error::Closed | Error::Lost(_) => (NoReplyKind::Unknown, None),
            Error::TooLarge | Error::Malformed(_) | Error::Encrypted => (NoReplyKind::Unknown, None),
        };
        Self { fault: error.into(), kind, precaution, leaves_connection_open: false }
    }

    /// Returns the failure of a request over HTTP/2.
    pub(crate) fn http2(error: http2::Error) -> Self {
        use http2::Error;
        let (kind, precaution) = match &error {
            Error::Unsent => (NoReplyKind::Unsent, None),
            Error::Unprocessed(_) => (NoReplyKind::Unprocessed, None),
            Error::Http1Required => (NoReplyKind::Unprocessed, Some(Precaution::Http1)),
            Error::Closed | Error::Lost(_) => (NoReplyKind::ConnectionEnded, None),
            Error::Flooded => (NoReplyKind::ConnectionEnded, Some(Precaution::Http1)),
            Error::Reset(_) | Error::Violation(_) | Error::Internal(_) => (NoReplyKind::Unknown, None),
        };
        let leaves_connection_open = matches!(error, Error::Unprocessed(_) | Error::Reset(_));
        Self { fault: error.into(), kind, precaution, leaves_connection_open }
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
    /// Returns whether a request without a reply may be sent again, and takes that from the budget. `reused` is whether its
    /// connection had served a request before.
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
