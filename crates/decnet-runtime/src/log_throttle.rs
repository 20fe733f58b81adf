//! Rate limiting of repeated log messages.

use std::time::{Duration, Instant};

/// The default minimum time between two log messages about the same failure.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);

/// A throttle for one log message: it counts the occurrences since the message was last logged.
#[derive(Debug)]
pub struct LogThrottle {
    min_interval: Duration,
    logged_at: Option<Instant>,
    pending: u64,
}

impl Default for LogThrottle {
    fn default() -> Self {
        Self::new(DEFAULT_INTERVAL)
    }
}

impl LogThrottle {
    /// Creates a throttle that permits one message per `min_interval`.
    #[must_use]
    pub const fn new(min_interval: Duration) -> Self {
        Self { min_interval, logged_at: None, pending: 0 }
    }

    /// Counts one occurrence. Returns the number of unlogged occurrences, including this occurrence, if a message is due.
    #[must_use]
    pub fn record(&mut self, now: Instant) -> Option<u64> {
        self.add(1);
        self.due(now)
    }

    /// Counts occurrences without logging.
    pub fn add(&mut self, times: u64) {
        self.pending += times;
    }

    /// Returns the number of unlogged occurrences, if there are any and a message is due.
    #[must_use]
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        if self.logged_at.is_some_and(|at| now.saturating_duration_since(at) < self.min_interval) {
            return None;
        }
        let pending = self.take_pending()?;
        self.logged_at = Some(now);
        Some(pending)
    }

    /// Takes the number of unlogged occurrences; `None` if there are none.
    pub fn take_pending(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.pending)).filter(|pending| *pending > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_occurrence_is_logged_and_the_rest_are_counted() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.record(start), Some(1));
        assert_eq!(throttle.record(start + DEFAULT_INTERVAL / 2), None);
        assert_eq!(throttle.record(start + DEFAULT_INTERVAL), Some(2));
        assert_eq!(throttle.record(start + DEFAULT_INTERVAL), None);
        assert_eq!((throttle.take_pending(), throttle.take_pending()), (Some(1), None));
    }

    #[test]
    fn interval_does_not_start_without_pending_occurrences() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.due(start), None);
        assert_eq!(throttle.record(start), Some(1));
    }

    #[test]
    fn continuous_occurrences_are_logged_once_per_interval() {
        let minute = Duration::from_secs(60);
        let (mut throttle, start) = (LogThrottle::new(minute), Instant::now());
        let logged =
            (0..150).filter(|second| throttle.record(start + Duration::from_secs(*second)).is_some());
        assert_eq!(logged.collect::<Vec<u64>>(), [0, 60, 120]);
        assert_eq!(throttle.take_pending(), Some(29));
    }
}
