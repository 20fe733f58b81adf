//! The summary of a demo.

use std::fmt;
use std::time::Duration;

use crate::receiver::{Origin, Received};

/// The most latencies that are recorded. Later ones are ignored.
const MAX_LATENCIES: usize = 100_000;

/// The counts and latencies of a demo.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) published: u64,
    received: u64,
    verified: u64,
    latencies: Vec<Duration>,
}

impl Summary {
    pub(super) fn count(&mut self, request: &Received) {
        self.received += 1;
        self.verified += u64::from(request.origin == Origin::Verified);
        if let Some(latency) = request.latency().filter(|_| self.latencies.len() < MAX_LATENCIES) {
            self.latencies.push(latency);
        }
    }

    fn latency_at(&self, share: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "small"
        )]
        let at = (share * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, received, verified, .. } = self;
        let millis = |share| self.latency_at(share).as_secs_f64() * 1e3;
        write!(f, "{published} published, {received} delivered, {verified} verified; ")?;
        write!(f, "from event to receipt {:.1} ms (median), {:.1} ms (slowest)", millis(0.5), millis(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_demo_has_a_summary() {
        let text = Summary::default().to_string();
        assert!(text.starts_with("0 published, 0 delivered, 0 verified"), "{text}");
    }

    #[test]
    fn median_and_maximum_are_found() {
        let latencies = [3, 1, 2, 100, 4].map(Duration::from_millis).to_vec();
        let summary = Summary { latencies, ..Summary::default() };
        assert_eq!(summary.latency_at(0.5), Duration::from_millis(3));
        assert_eq!(summary.latency_at(1.0), Duration::from_millis(100));
    }
}
