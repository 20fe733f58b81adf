//! The clock that sender and receiver share: the machine's wall clock.

use std::time::{Duration, SystemTime};

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

/// Whole microseconds, as far as they fit.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
