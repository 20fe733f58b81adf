//! Events that were not printed: counted, and reported from time to time.

use std::time::{Duration, Instant};

use crate::output::{self, counted};

/// Least time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Events that this run has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    /// There was no room for them here.
    unprinted: u64,
    /// The bus dropped them on this connection, as a bus of ours reports it.
    by_bus: u64,
    /// The same on earlier connections.
    by_bus_before: u64,
    reported: u64,
    reported_at: Option<Instant>,
}

impl Missed {
    pub(super) fn add_unprinted(&mut self, events: u64) {
        self.unprinted += events;
    }

    /// Takes over what the bus has dropped on this connection so far.
    pub(super) fn set_by_bus(&mut self, events: u64) {
        self.by_bus = events;
    }

    /// The connection has ended: the next one begins with 0.
    pub(super) fn disconnected(&mut self) {
        self.by_bus_before += std::mem::take(&mut self.by_bus);
    }

    /// Reports a change, unless there was a report lately.
    pub(super) fn report(&mut self, now: Instant) {
        if let Some(text) = self.due(now) {
            output::say(&text);
        }
    }

    /// Reports everything at the end.
    pub(super) fn report_all(&self) {
        if self.total() > 0 {
            let missed = counted(self.total(), "event was", "events were");
            output::say(&format!("{missed} missed in all"));
        }
    }

    fn due(&mut self, now: Instant) -> Option<String> {
        let is_early = self.reported_at.is_some_and(|at| now.duration_since(at) < REPORT_INTERVAL);
        if self.total() == self.reported || is_early {
            return None;
        }
        (self.reported, self.reported_at) = (self.total(), Some(now));
        let missed = counted(self.total(), "event was", "events were");
        Some(format!("{missed} missed so far: they come faster than they can be read and printed"))
    }

    fn total(&self) -> u64 {
        self.unprinted + self.by_bus + self.by_bus_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_all_connections_are_added_and_reported_at_intervals() {
        let (mut missed, start) = (Missed::default(), Instant::now());
        assert_eq!(missed.due(start), None);
        missed.set_by_bus(3);
        assert!(missed.due(start).is_some_and(|text| text.starts_with("3 events were missed so far")));
        missed.set_by_bus(4);
        missed.disconnected();
        missed.set_by_bus(1);
        missed.add_unprinted(2);
        assert_eq!(missed.due(start + REPORT_INTERVAL / 2), None);
        assert!(missed.due(start + REPORT_INTERVAL).is_some_and(|text| text.starts_with("7 events")));
        assert_eq!(missed.due(start + 2 * REPORT_INTERVAL), None);
    }
}
