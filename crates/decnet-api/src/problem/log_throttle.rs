//! One log throttle for each kind of failure.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};
use std::time::Instant;

use decnet_core::limits::API_FAILURE_LOG_INTERVAL;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_runtime::sync::lock;

/// The throttles by message. Messages are static, which bounds the map.
static THROTTLES: LazyLock<Mutex<HashMap<&'static str, LogThrottle>>> = LazyLock::new(Mutex::default);

/// Counts a failure. Returns the number of its unlogged occurrences if the message `what` is due, else `None`.
pub(super) fn record(what: &'static str) -> Option<u64> {
    let mut throttles = lock(&THROTTLES);
    let throttle = throttles.entry(what).or_insert_with(|| LogThrottle::new(API_FAILURE_LOG_INTERVAL));
    throttle.record(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_throttled_separately() {
        assert_eq!((record("a"), record("b")), (Some(1), Some(1)));
        assert_eq!((record("a"), record("b")), (None, None));
    }
}
