//! A failure that many requests meet is said once, then counted: nobody fills the log by asking.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Instant;

use decnet_core::limits::API_FAILURE_INTERVAL;

/// What was said lately, by what it was: as many as the program has words for.
static SAID: LazyLock<Said> = LazyLock::new(Said::default);

#[derive(Default)]
struct Said(Mutex<HashMap<&'static str, Last>>);

struct Last {
    said_at: Instant,
    /// How often it has happened since.
    unsaid: u64,
}

/// Is it time to say this? Then with how many there were since it was last said.
pub(super) fn again(what: &'static str) -> Option<u64> {
    SAID.again(what, Instant::now())
}

impl Said {
    fn again(&self, what: &'static str, now: Instant) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = all.get_mut(what) else {
            all.insert(what, Last { said_at: now, unsaid: 0 });
            return Some(0);
        };
        if now.saturating_duration_since(last.said_at) < API_FAILURE_INTERVAL {
            last.unsaid += 1;
            return None;
        }
        last.said_at = now;
        Some(std::mem::take(&mut last.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_is_said_and_further_ones_are_counted() {
        let (said, start) = (Said::default(), Instant::now());
        assert_eq!((said.again("a", start), said.again("b", start)), (Some(0), Some(0)));
        for _ in 0..10_000 {
            assert_eq!(said.again("a", start), None);
        }
        assert_eq!(said.again("a", start + API_FAILURE_INTERVAL), Some(10_000));
        assert_eq!(said.again("a", start + 2 * API_FAILURE_INTERVAL), Some(0));
    }
}
