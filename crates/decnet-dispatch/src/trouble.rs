//! Log messages about a subscription's failed deliveries, at most one of each kind a minute.

use std::cell::Cell;
use std::time::{Duration, Instant};

use decnet_core::redact::EndpointUrl;

/// Shortest time between two messages of a kind about one subscription: a receiver that refuses every second event would
/// fill the log otherwise.
const QUIET: Duration = Duration::from_secs(60);

/// What was logged about one subscription.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    failures: Throttle,
    refusals: Throttle,
    deferrals: Throttle,
    /// A failure was logged, so that the recovery is worth a message too.
    is_failure_logged: Cell<bool>,
}

/// Limits one kind of message to one per [`QUIET`], and counts those left out.
#[derive(Debug, Default)]
struct Throttle {
    logged_at: Cell<Option<Instant>>,
    suppressed: Cell<u64>,
}

impl Trouble {
    /// Logs a failed delivery that followed a successful one.
    pub(crate) fn begins(&self, subscription: &str, url: &EndpointUrl, error: &str, now: Instant) {
        if let Some(suppressed) = self.failures.admit(now) {
            tracing::warn!(subscription, %url, error, suppressed, "delivery failed");
            self.is_failure_logged.set(true);
        }
    }

    /// Logs that the receiver refused a body, which does not count as a failure of the receiver.
    pub(crate) fn refused(&self, subscription: &str, url: &EndpointUrl, error: &str, now: Instant) {
        if let Some(suppressed) = self.refusals.admit(now) {
            tracing::warn!(
                subscription,
                %url,
                error,
                suppressed,
                "the receiver refused the body of an event; this does not count towards the circuit threshold"
            );
        }
    }

    /// Logs that the receiver has asked to be sent nothing for a while.
    pub(crate) fn deferred(&self, subscription: &str, wait: Duration, now: Instant) {
        if let Some(suppressed) = self.deferrals.admit(now) {
            tracing::info!(
                subscription,
                seconds = wait.as_secs(),
                suppressed,
                "the receiver asks to be sent nothing for a while (Retry-After); what is for it waits"
            );
        }
    }

    /// Logs a successful delivery that followed failed ones.
    pub(crate) fn over(&self, subscription: &str, failures: u32) {
        if self.is_failure_logged.take() {
            tracing::info!(subscription, failures, "delivering again");
        }
    }
}

impl Throttle {
    /// Returns how many messages were left out since the last one, or `None` if this one is to be left out.
    fn admit(&self, now: Instant) -> Option<u64> {
        if self.logged_at.get().is_some_and(|at| now.duration_since(at) < QUIET) {
            self.suppressed.set(self.suppressed.get() + 1);
            return None;
        }
        self.logged_at.set(Some(now));
        Some(self.suppressed.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_results_are_logged_once_a_minute() {
        let (trouble, url) = (Trouble::default(), EndpointUrl::new("http://a.example/").unwrap());
        let begun = Instant::now();
        for second in 0..90 {
            trouble.begins("a", &url, "HTTP 500", begun + Duration::from_secs(second));
            assert_eq!(trouble.is_failure_logged.get(), second == 0 || second == 60, "second {second}");
            trouble.over("a", 1);
        }
        assert_eq!(trouble.failures.suppressed.get(), 29);
    }

    #[test]
    fn refusals_are_logged_beside_failures() {
        let (trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!([trouble.failures.admit(now), trouble.refusals.admit(now)], [Some(0), Some(0)]);
        assert_eq!(trouble.refusals.admit(now), None);
        assert_eq!(trouble.refusals.admit(now + QUIET), Some(1));
    }
}
