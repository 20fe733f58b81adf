//! Rate limiting of repeated log messages.

use std::time::{Duration, Instant};

/// The minimum time between two log messages about the same failure.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// A throttle for one log message: it counts the occurrences since the message was last logged.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle {
    logged_at: Option<Instant>,
    pending: u64,
}

impl LogThrottle {
    /// Counts one occurrence. Returns the number of unlogged occurrences if a message is due.
    pub(crate) fn record(&mut self, now: Instant) -> Option<u64> {
        self.add(1);
        self.due(now)
    }

    /// Counts occurrences without logging.
    pub(crate) fn add(&mut self, times: u64) {
        self.pending += times;
    }

    /// Returns the number of unlogged occurrences, if there are any and a message is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.logged_at.is_some_and(|at| now.saturating_duration_since(at) < MIN_INTERVAL) {
            return None;
        }
        self.logged_at = Some(now);
        self.take_pending()
    }

    /// Takes the number of unlogged occurrences; `None` if there are none.
    pub(crate) fn take_pending(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.pending)).filter(|pending| *pending > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_and_the_rest_are_counted() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.record(start), Some(1));
        assert_eq!(throttle.record(start + MIN_INTERVAL / 2), None);
        assert_eq!(throttle.record(start + MIN_INTERVAL), Some(2));
        assert_eq!(throttle.record(start + MIN_INTERVAL), None);
        assert_eq!((throttle.take_pending(), throttle.take_pending()), (Some(1), None));
    }
}
