//! The clock that sender and receiver share: the machine's wall clock.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

/// Longest time that a histogram tells from a longer one, in microseconds.
const LONGEST_US: u64 = 600_000_000;

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Whole microseconds, as far as they fit.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// An empty histogram of microseconds, kept to 0.1 %. Fixed bounds: one that grows by itself does not do so where
/// values are recorded saturating.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are fixed and valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_told_apart() {
        let mut taken = histogram();
        [1, 5_000, 2_000_000].into_iter().for_each(|micros| taken.saturating_record(micros));
        assert!(taken.value_at_quantile(0.5).abs_diff(5_000) <= 5);
        assert!(taken.max().abs_diff(2_000_000) <= 2_000);
    }
}
