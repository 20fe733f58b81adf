//! The health of a subscription: consecutive failures, the trip, and the delays of probes.

use std::time::Duration;

use crate::limits::{MAX_PROBE_DELAY, MIN_PROBE_DELAY};
use crate::time::UnixMicros;

/// Counts consecutive failed deliveries and compares them with a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    consecutive_failures: u32,
    threshold: u32,
}

impl Health {
    /// Creates the health from a stored count. A threshold of 0 counts as 1.
    #[must_use]
    pub fn new(consecutive_failures: u32, threshold: u32) -> Self {
        Self { consecutive_failures, threshold: threshold.max(1) }
    }

    /// Returns the number of consecutive failed deliveries.
    #[must_use]
    pub fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// Records a successful delivery.
    pub fn succeeded(&mut self) {
        self.consecutive_failures = 0;
    }

    /// Records a failed delivery. Returns whether the threshold is reached.
    pub fn failed(&mut self) -> bool {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        self.consecutive_failures >= self.threshold
    }
}

/// Returns the delay before the next probe of a tripped subscription, after `probes` failed probes.
///
/// The delay doubles from `first` to `longest`. `jitter` from -1 to 1 changes it by up to 10 %.
#[must_use]
pub fn probe_delay((first, longest): (Duration, Duration), probes: u32, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1u32.checked_shl(probes).unwrap_or(u32::MAX));
    doubled.min(longest).mul_f64(1.0 + 0.1 * jitter.clamp(-1.0, 1.0))
}

/// Returns about when a tripped subscription is probed next, from the times of its trip and its last failure. Another process keeps
/// the exact time; the number of failed probes follows from the time that has passed.
#[must_use]
pub fn estimated_probe(tripped_at: UnixMicros, last_failure_at: UnixMicros) -> UnixMicros {
    let delay = |probes| probe_delay((MIN_PROBE_DELAY, MAX_PROBE_DELAY), probes, 0.0);
    // Jitter shortens delays by up to 10 %.
    let mut left = last_failure_at.since(tripped_at).mul_f64(1.1);
    let mut probes = 0;
    while left >= delay(probes) && delay(probes) < MAX_PROBE_DELAY {
        left -= delay(probes);
        probes += 1;
    }
    last_failure_at.max(tripped_at).after(delay(probes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trips_at_the_threshold_and_success_resets_the_count() {
        let mut health = Health::new(0, 3);
        assert!(!health.failed() && !health.failed());
        health.succeeded();
        assert!(!health.failed() && !health.failed());
        assert!(health.failed());
        assert_eq!(health.consecutive_failures(), 3);
        assert!(Health::new(7, 3).failed());
        assert!(Health::new(0, 0).failed());
    }

    #[test]
    fn probe_delays_double_to_fifteen_minutes() {
        let range = (MIN_PROBE_DELAY, MAX_PROBE_DELAY);
        let seconds: Vec<u64> = (0..7).map(|n| probe_delay(range, n, 0.0).as_secs()).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(probe_delay(range, u32::MAX, 0.0), MAX_PROBE_DELAY);
    }

    #[test]
    fn next_probe_is_estimated_from_the_time_since_the_trip() {
        let at = |seconds: u64| UnixMicros(0).after(Duration::from_secs(seconds));
        for (last_failure, next) in [(0, 30), (29, 89), (91, 211), (2000, 2900), (90_000, 90_900)] {
            assert_eq!(estimated_probe(at(0), at(last_failure)), at(next), "{last_failure}");
        }
        assert_eq!(estimated_probe(at(100), at(0)), at(130));
    }
}
