//! What is said of a subscription's failures: the first, then nothing more for a while, then how many there were.

use std::cell::Cell;
use std::time::{Duration, Instant};

use decnet_core::redact::EndpointUrl;

/// Two warnings of one subscription are at least so far apart: a receiver that refuses every second event would
/// fill the log otherwise.
const QUIET: Duration = Duration::from_secs(60);

/// When a subscription's trouble was said last, and what was kept back since.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    said_at: Cell<Option<Instant>>,
    kept_back: Cell<u64>,
    /// The end of what was said is worth a word too.
    is_said: Cell<bool>,
}

impl Trouble {
    /// A delivery failed after one that did not.
    pub(crate) fn begins(&self, subscription: &str, url: &EndpointUrl, error: &str, now: Instant) {
        if self.said_at.get().is_some_and(|at| now.duration_since(at) < QUIET) {
            self.kept_back.set(self.kept_back.get() + 1);
            return;
        }
        let before = self.kept_back.take();
        tracing::warn!(subscription, %url, error, kept_back = before, "delivery failed");
        self.said_at.set(Some(now));
        self.is_said.set(true);
    }

    /// A delivery succeeded after one or more that did not.
    pub(crate) fn over(&self, subscription: &str, failures: u32) {
        if self.is_said.take() {
            tracing::info!(subscription, failures, "delivering again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternating_results_are_said_once_a_minute() {
        let (trouble, url) = (Trouble::default(), EndpointUrl::new("http://a.example/").unwrap());
        let begun = Instant::now();
        for second in 0..90 {
            trouble.begins("a", &url, "HTTP 500", begun + Duration::from_secs(second));
            assert_eq!(trouble.is_said.get(), second == 0 || second == 60, "second {second}");
            trouble.over("a", 1);
        }
        assert_eq!(trouble.kept_back.get(), 29);
    }
}
