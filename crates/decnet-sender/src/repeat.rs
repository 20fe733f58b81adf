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

use decnet_core::limits::MAX_SENDS_PER_ATTEMPT;

use crate::no_reply::NoReplyKind;

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
