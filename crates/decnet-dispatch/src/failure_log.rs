//! Log messages about a subscription's failed deliveries, at most one of each kind a minute.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use decnet_core::redact::EndpointUrl;
use decnet_runtime::log_throttle::LogThrottle;

/// The shortest time between two messages of one kind about one subscription. Otherwise a receiver that refuses every
/// second event would fill the log.
const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// The messages that have been logged about one subscription.
#[derive(Debug)]
pub(crate) struct FailureLog {
    failures: RefCell<LogThrottle>,
    refusals: RefCell<LogThrottle>,
    deferrals: RefCell<LogThrottle>,
    rejections: RefCell<LogThrottle>,
    /// Whether a failure was logged since the last recovery; only then is the recovery logged.
    is_failure_logged: Cell<bool>,
}

impl Default for FailureLog {
    fn default() -> Self {
        let throttle = || RefCell::new(LogThrottle::new(MIN_INTERVAL));
        Self {
            failures: throttle(),
            refusals: throttle(),
            deferrals: throttle(),
            rejections: throttle(),
            is_failure_logged: Cell::default(),
        }
    }
}

impl FailureLog {
    /// Logs a failed delivery that followed a successful delivery.
    pub(crate) fn log_failure(&self, subscription: &str, url: &EndpointUrl, error: &str, now: Instant) {
        if let Some(times) = self.failures.borrow_mut().record(now) {
            tracing::warn!(subscription, %url, error, times, "delivery failed");
            self.is_failure_logged.set(true);
        }
    }

    /// Logs that the receiver refused a body.
    pub(crate) fn log_refusal(&self, subscription: &str, url: &EndpointUrl, error: &str, now: Instant) {
        if let Some(times) = self.refusals.borrow_mut().record(now) {
            tracing::warn!(
                subscription,
                %url,
                error,
                times,
                "the receiver refused the body of an event; this does not count towards the circuit threshold"
            );
        }
    }

    /// Logs that an event is not sent because of the subscription's filter, template or format.
    pub(crate) fn log_rejection(&self, subscription: &str, error: &str, now: Instant) {
        if let Some(times) = self.rejections.borrow_mut().record(now) {
            tracing::warn!(
                subscription,
                error,
                times,
                "an event could not be filtered or rendered; its delivery is dead and can be redelivered once the cause is fixed"
            );
        }
    }

    /// Logs that the receiver has asked for a pause.
    pub(crate) fn log_deferral(&self, subscription: &str, wait: Duration, now: Instant) {
        if let Some(times) = self.deferrals.borrow_mut().record(now) {
            tracing::info!(
                subscription,
                seconds = wait.as_secs(),
                times,
                "the receiver asked for a pause (Retry-After); its deliveries wait"
            );
        }
    }

    /// Logs a successful delivery that followed failed deliveries.
    pub(crate) fn log_recovery(&self, subscription: &str, failures: u32) {
        if self.is_failure_logged.take() {
            tracing::info!(subscription, failures, "delivering again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_results_are_logged_once_a_minute() {
        let (log, url) = (FailureLog::default(), EndpointUrl::new("http://a.example/").unwrap());
        let start = Instant::now();
        for second in 0..90 {
            log.log_failure("a", &url, "HTTP 500", start + Duration::from_secs(second));
            assert_eq!(log.is_failure_logged.get(), second == 0 || second == 60, "second {second}");
            log.log_recovery("a", 1);
        }
        assert_eq!(log.failures.borrow_mut().take_pending(), Some(29));
    }

    #[test]
    fn refusals_and_failures_are_throttled_separately() {
        let (log, now) = (FailureLog::default(), Instant::now());
        assert_eq!(log.failures.borrow_mut().record(now), Some(1));
        assert_eq!(log.refusals.borrow_mut().record(now), Some(1));
        assert_eq!(log.refusals.borrow_mut().record(now), None);
        assert_eq!(log.refusals.borrow_mut().record(now + MIN_INTERVAL), Some(2));
    }
}
