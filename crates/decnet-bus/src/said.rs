//! A failure that repeats is said once, then counted.

use std::time::{Duration, Instant};

/// Least time between two sayings of the same thing.
const QUIET: Duration = Duration::from_secs(10);

/// How often something has happened since it was last said.
#[derive(Debug, Default)]
pub(crate) struct Said {
    last: Option<Instant>,
    since: u64,
}

impl Said {
    /// Counts one more; `Some` with the count since the last saying when it is time to say it.
    pub(crate) fn again(&mut self, now: Instant) -> Option<u64> {
        self.add(1);
        self.due(now)
    }

    /// Counts more, without saying it.
    pub(crate) fn add(&mut self, times: u64) {
        self.since += times;
    }

    /// Returns the count since the last saying, if there is one and it is time to say it.
    pub(crate) fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            return None;
        }
        self.last = Some(now);
        self.unsaid()
    }

    /// What is left to be said when nothing more can happen; `None` if nothing is.
    pub(crate) fn unsaid(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.since)).filter(|since| *since > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_the_first_and_then_counts() {
        let (mut said, start) = (Said::default(), Instant::now());
        assert_eq!(said.again(start), Some(1));
        assert_eq!(said.again(start + QUIET / 2), None);
        assert_eq!(said.again(start + QUIET), Some(2));
        assert_eq!(said.again(start + QUIET), None);
        assert_eq!((said.unsaid(), said.unsaid()), (Some(1), None));
    }
}
