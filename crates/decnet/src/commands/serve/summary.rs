//! The summary of a demo's own receiver.

use std::fmt;
use std::time::Duration;

use decnet_bench::quantiles::Quantiles;

use crate::receiver::{Origin, Received};

/// The maximum number of recorded latencies. Later latencies are ignored.
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
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, received, verified, .. } = self;
        let Quantiles { p50, max, .. } = Quantiles::of(self.latencies.clone());
        let [median, slowest] = [p50, max].map(|latency| latency.as_secs_f64() * 1e3);
        write!(f, "{published} published; the demo's receiver got {received}, {verified} verified; ")?;
        write!(f, "from event to receipt {median:.1} ms (median), {slowest:.1} ms (slowest)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_demo_has_a_summary() {
        let text = Summary::default().to_string();
        assert!(text.starts_with("0 published; the demo's receiver got 0, 0 verified"), "{text}");
    }

    #[test]
    fn median_and_maximum_are_found() {
        let latencies = [3, 1, 2, 100, 4].map(Duration::from_millis).to_vec();
        let summary = Summary { latencies, ..Summary::default() };
        let text = summary.to_string();
        assert!(text.ends_with("3.0 ms (median), 100.0 ms (slowest)"), "{text}");
    }
}
