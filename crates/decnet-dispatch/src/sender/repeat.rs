//! When a request is sent again within its attempt.
//!
//! A request whose connection brought no reply is another attempt's business, with two exceptions that say nothing about
//! the receiver's health:
//!
//! - It was certainly not processed: nothing of it has left, or the receiver says so (RFC 9113 sections 6.8 and 8.7).
//! - It went to a connection that had served before, and that ended before the first byte of a reply: most likely the
//!   receiver closed it while it was idle (RFC 9112 section 9.3.1). It may have been processed all the same. Delivery is
//!   at least once and `webhook-id` stays the same, so the request is sent once more, on a fresh connection.

use decnet_core::limits::MAX_SENDS_PER_ATTEMPT;

use super::fault::Fault;
use super::pool::Caution;
use super::{http1, http2};

/// Why a connection brought no reply, and what follows from it.
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) kind: Kind,
    /// What to do with further connections to the origin.
    pub(super) caution: Option<Caution>,
    /// Whether the connection can still be used.
    pub(super) leaves_connection_open: bool,
}

/// What became of a request without a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No byte of it has left.
    Unsent,
    /// The receiver declares that it did not process it.
    Unprocessed,
    /// The connection ended before the first byte of a reply.
    Ended,
    /// Anything else: it may have been processed.
    Unclear,
}

impl Refusal {
    /// A connection that was found closed before anything was sent.
    pub(super) fn unsent() -> Self {
        Self::http1(http1::Error::Unsent, false)
    }

    /// `has_heard`: something has come back all the same.
    pub(super) fn http1(error: http1::Error, has_heard: bool) -> Self {
        use http1::Error;
        let (kind, caution) = match &error {
            Error::Unsent => (Kind::Unsent, None),
            Error::Closed | Error::Lost(_) if !has_heard => (Kind::Ended, None),
            // What came was sent before the request.
            Error::Stray => (Kind::Ended, Some(Caution::NoReuse)),
            Error::Closed | Error::Lost(_) => (Kind::Unclear, None),
            Error::TooLarge | Error::Malformed(_) | Error::Encrypted => (Kind::Unclear, None),
        };
        Self { fault: error.into(), kind, caution, leaves_connection_open: false }
    }

    pub(super) fn http2(error: http2::Error) -> Self {
        use http2::Error;
        let (kind, caution) = match &error {
            Error::Unsent => (Kind::Unsent, None),
            Error::Unprocessed(_) => (Kind::Unprocessed, None),
            Error::Http1Required => (Kind::Unprocessed, Some(Caution::Http1)),
            Error::Closed | Error::Lost(_) => (Kind::Ended, None),
            Error::Flooded => (Kind::Ended, Some(Caution::Http1)),
            Error::Reset(_) | Error::Rules(_) | Error::Internal(_) => (Kind::Unclear, None),
        };
        let leaves_connection_open = matches!(error, Error::Unprocessed(_) | Error::Reset(_));
        Self { fault: error.into(), kind, caution, leaves_connection_open }
    }
}

/// How often an attempt has sent its request again.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// Requests that did not leave, or were not processed.
    unprocessed: u8,
    /// Requests that were on their way when a kept connection ended.
    ended: u8,
    /// Requests that may have reached the receiver.
    used: u8,
}

impl Budget {
    /// Returns whether a request without a reply is sent again; `reused`: its connection had served before.
    pub(super) fn allows(&mut self, kind: Kind, reused: bool) -> bool {
        let (count, most) = match kind {
            Kind::Unprocessed => (&mut self.unprocessed, MAX_SENDS_PER_ATTEMPT - 1),
            Kind::Unsent if reused => (&mut self.unprocessed, MAX_SENDS_PER_ATTEMPT - 1),
            Kind::Ended if reused => (&mut self.ended, 1),
            Kind::Unsent | Kind::Ended | Kind::Unclear => return false,
        };
        if *count == most {
            return false;
        }
        *count += 1;
        true
    }

    /// Counts that the request goes out again.
    pub(super) fn count(&mut self, kind: Kind) {
        self.used += u8::from(kind != Kind::Unsent);
    }

    /// Returns how often the request was sent again after it may have reached the receiver.
    pub(super) fn used(&self) -> u8 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_connection_allows_one_repeat_if_it_was_reused() {
        assert!(!Budget::default().allows(Kind::Ended, false));
        let mut budget = Budget::default();
        assert!(budget.allows(Kind::Ended, true) && !budget.allows(Kind::Ended, true));
    }

    #[test]
    fn unprocessed_requests_are_repeated_up_to_the_bound() {
        let mut budget = Budget::default();
        let sends = 1 + (0..u8::MAX).take_while(|_| budget.allows(Kind::Unprocessed, false)).count();
        assert_eq!(sends, usize::from(MAX_SENDS_PER_ATTEMPT));
    }

    #[test]
    fn request_that_did_not_leave_is_not_counted_as_a_repeat() {
        let mut budget = Budget::default();
        assert!(budget.allows(Kind::Unsent, true) && !budget.allows(Kind::Unsent, false));
        budget.count(Kind::Unsent);
        assert_eq!(budget.used(), 0);
        budget.count(Kind::Ended);
        assert_eq!(budget.used(), 1);
    }

    #[test]
    fn request_that_may_have_been_processed_is_not_repeated() {
        for reused in [false, true] {
            assert!(!Budget::default().allows(Kind::Unclear, reused));
        }
    }
}
