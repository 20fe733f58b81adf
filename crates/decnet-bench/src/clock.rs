//! The clock that sender and receiver share: the system's wall clock.

use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;

/// Longest time that a histogram distinguishes, in microseconds.
const MAX_TRACKABLE_US: u64 = 600_000_000;

/// Returns the microseconds since 1970-01-01 00:00 UTC.
pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Returns the duration in whole microseconds, saturated at `u64::MAX`.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Creates an empty histogram of microseconds with a precision of 0.1 %. The bounds are fixed, because an
/// auto-resizing histogram does not resize when values are recorded with saturation.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_TRACKABLE_US, 3).expect("the bounds are fixed and valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_distinguishes_long_times() {
        let mut taken = histogram();
        [1, 5_000, 2_000_000].into_iter().for_each(|micros| taken.saturating_record(micros));
        assert!(taken.value_at_quantile(0.5).abs_diff(5_000) <= 5);
        assert!(taken.max().abs_diff(2_000_000) <= 2_000);
    }
}
