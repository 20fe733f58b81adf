//! Log throttle: a repeated failure is logged once per interval and counted in between.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use decnet_core::limits::API_FAILURE_INTERVAL;

/// The last log time of each message. Messages are static, which bounds the map.
static THROTTLE: LazyLock<LogThrottle> = LazyLock::new(LogThrottle::default);

#[derive(Default)]
struct LogThrottle(Mutex<HashMap<&'static str, Last>>);

struct Last {
    logged_at: Instant,
    /// The repetitions since then.
    suppressed: u64,
}

/// Returns the number of suppressed repetitions if `what` is due to be logged, else `None`.
pub(super) fn admit(what: &'static str) -> Option<u64> {
    THROTTLE.admit(what, Instant::now())
}

impl LogThrottle {
    fn admit(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = all.get_mut(what) else {
            all.insert(what, Last { logged_at: now, suppressed: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(last.logged_at) < API_FAILURE_INTERVAL {
            last.suppressed += 1;
            return None;
        }
        last.logged_at = now;
        Some(std::mem::take(&mut last.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_failure_is_logged_and_repetitions_are_counted() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!((throttle.admit("a", start), throttle.admit("b", start)), (Some(0), Some(0)));
        for _ in 0..10_000 {
            assert_eq!(throttle.admit("a", start), None);
        }
        assert_eq!(throttle.admit("a", start + API_FAILURE_INTERVAL), Some(10_000));
        assert_eq!(throttle.admit("a", start + 2 * API_FAILURE_INTERVAL), Some(0));
    }
}
