//! What the log is told of the server's own trouble: the first of it, then once a minute how often it came again.
//!
//! Every request of every client may meet the same full disk; the log must not become the next thing that is full.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Two lines that say the same are at least so far apart.
const QUIET: Duration = Duration::from_secs(60);
/// Different lines in that time.
const MOST: usize = 64;

/// Lines said lately, each with when that was, and how often it was kept back since. One for the process, like the log.
#[derive(Debug, Default)]
pub(super) struct Said(Mutex<HashMap<String, (Instant, u64)>>);

impl Said {
    /// How often the line was kept back before, if it may be said now.
    pub(super) fn may_say(&self, line: &str, now: Instant) -> Option<u64> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: Instant| now.saturating_duration_since(at) < QUIET;
        if let Some((at, kept_back)) = lines.get_mut(line)
            && is_recent(*at)
        {
            *kept_back += 1;
            return None;
        }
        let before = lines.remove(line).map_or(0, |(_, kept_back)| kept_back);
        if lines.len() >= MOST {
            lines.retain(|_, (at, _)| is_recent(*at));
        }
        if lines.len() >= MOST {
            return None;
        }
        lines.insert(line.to_owned(), (now, 0));
        Some(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_said_once_a_minute_with_how_often_it_was_kept_back() {
        let (said, start) = (Said::default(), Instant::now());
        let heard = |second| said.may_say("full", start + Duration::from_secs(second));
        assert_eq!((0..60).filter_map(heard).collect::<Vec<_>>(), [0]);
        assert_eq!(heard(60), Some(59));
        assert_eq!(said.may_say("busy", start), Some(0), "another line");
    }

    #[test]
    fn different_lines_are_bounded_too() {
        let (said, start) = (Said::default(), Instant::now());
        let heard = |at| (0..2 * MOST).filter(|n| said.may_say(&n.to_string(), at).is_some()).count();
        assert_eq!((heard(start), heard(start + QUIET)), (MOST, MOST));
    }
}
