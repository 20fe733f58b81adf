//! The count of events that were not printed, and its reports.

use std::time::{Duration, Instant};

use crate::output::{self, pluralize};

/// The minimum time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The events that this run has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// Events that did not fit into the queue.
    pub(super) unprinted: u64,
    /// Events that the bus reports as dropped on this connection.
    pub(super) by_bus: u64,
    /// Events that the bus dropped on earlier connections.
    by_bus_before: u64,
    reported: u64,
    reported_at: Option<Instant>,
}

impl Missed {
    /// Records the end of the connection. The bus counts from 0 on the next connection.
    pub(super) fn disconnected(&mut self) {
        self.by_bus_before += std::mem::take(&mut self.by_bus);
    }

    /// Reports new losses, at most once per [`REPORT_INTERVAL`].
    pub(super) fn report(&mut self, now: Instant) {
        if let Some(text) = self.due(now) {
            output::note(&text);
        }
    }

    /// Reports the total at the end.
    pub(super) fn report_all(&self) {
        if self.total() > 0 {
            let missed = pluralize(self.total(), "event was", "events were");
            output::note(&format!("{missed} missed in total"));
        }
    }

    fn due(&mut self, now: Instant) -> Option<String> {
        let is_early = self.reported_at.is_some_and(|at| now.duration_since(at) < REPORT_INTERVAL);
        if self.total() == self.reported || is_early {
            return None;
        }
        (self.reported, self.reported_at) = (self.total(), Some(now));
        let missed = pluralize(self.total(), "event was", "events were");
        Some(format!("{missed} missed so far: they arrive faster than the bus relays or stdout accepts them"))
    }

    fn total(&self) -> u64 {
        self.unprinted + self.by_bus + self.by_bus_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_summed_and_reported_at_intervals() {
        let (mut missed, start) = (Missed::default(), Instant::now());
        assert_eq!(missed.due(start), None);
        missed.by_bus = 3;
        assert!(missed.due(start).is_some_and(|text| text.starts_with("3 events were missed so far")));
        missed.by_bus = 4;
        missed.disconnected();
        missed.by_bus = 1;
        missed.unprinted += 2;
        assert_eq!(missed.due(start + REPORT_INTERVAL / 2), None);
        assert!(missed.due(start + REPORT_INTERVAL).is_some_and(|text| text.starts_with("7 events")));
        assert_eq!(missed.due(start + 2 * REPORT_INTERVAL), None);
    }
}
