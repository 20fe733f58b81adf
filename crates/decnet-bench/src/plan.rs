//! The amount of work in each size of run.

use serde::{Deserialize, Serialize};

use crate::options::Options;

/// The size of a run. A larger size takes longer and gives more exact results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    /// All rows in less than two minutes.
    Quick,
    /// One or two minutes for each row.
    Default,
    /// The sizes for which the targets are stated.
    Full,
}

/// The amount of work in a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) size: Size,
    /// Rounds, each with the reference and then the subject.
    pub(crate) rounds: usize,
    /// Deliveries of one round, whatever the fan-out.
    pub(crate) deliveries: u64,
    /// Requests of the bare sender in one round.
    pub(crate) requests: u64,
    /// Number of events that the publisher may be ahead of the receiver.
    pub(crate) ahead: u64,
    pub(crate) fdatasyncs: usize,
    /// Seconds at each rate.
    pub(crate) latency_seconds: u64,
    /// Events in the burst.
    pub(crate) burst: u64,
    /// Seconds of each of two measurements: without the bad receivers, and with them.
    pub(crate) isolation_seconds: u64,
    pub(crate) neighbour_seconds: u64,
    /// Deliveries to many receivers, for each number of requests in flight.
    pub(crate) spread: u64,
    pub(crate) routing_seconds: u64,
    /// Number of subscriptions.
    pub(crate) subscriptions: u32,
    /// Number of changes to one subscription.
    pub(crate) reloads: u32,
    /// Deliveries pending to a dead receiver.
    pub(crate) pending: u64,
    /// Deliveries pending at the restart.
    pub(crate) backlog: u64,
    /// Deliveries measured before and after many others are settled.
    pub(crate) segment: u64,
    /// Deliveries settled in between.
    pub(crate) settled: u64,
    /// Seconds of the latency measurement during retention. Zero skips the measurement. Retention starts only once a minute,
    /// so a short run does not include it.
    pub(crate) retention_seconds: u64,
}

/// Number of events that the publisher may be ahead of the receiver: far more than a lane holds in memory, and fewer than the
/// bus may hold for its readers.
const AHEAD: u64 = 100_000;

impl Plan {
    pub(crate) fn of(options: &Options) -> Self {
        let mut plan = Self::sized(options.size());
        plan.rounds = options.rounds.unwrap_or(plan.rounds).max(1);
        plan.ahead = options.ahead.unwrap_or(plan.ahead).max(1);
        if let Some(events) = options.events {
            plan.scale(events.max(10));
        }
        plan
    }

    /// Sets every number of events to `events`.
    fn scale(&mut self, events: u64) {
        (self.deliveries, self.burst, self.spread) = (events, events, events);
        (self.pending, self.backlog, self.settled) = (events, events, events);
        self.segment = self.segment.min(events);
    }

    fn sized(size: Size) -> Self {
        // The values of quick, default and full.
        let pick = |values: [u64; 3]| values[size as usize];
        Self {
            size,
            rounds: if size == Size::Quick { 1 } else { 3 },
            deliveries: pick([100_000, 300_000, 1_000_000]),
            requests: pick([100_000, 300_000, 1_000_000]),
            ahead: AHEAD,
            fdatasyncs: if size == Size::Quick { 300 } else { 1000 },
            latency_seconds: pick([4, 20, 30]),
            burst: pick([200_000, 500_000, 1_000_000]),
            isolation_seconds: pick([4, 12, 20]),
            neighbour_seconds: pick([3, 10, 15]),
            spread: pick([40_000, 200_000, 500_000]),
            routing_seconds: pick([1, 3, 5]),
            subscriptions: if size == Size::Quick { 20_000 } else { 100_000 },
            reloads: [3, 5, 10][size as usize],
            pending: pick([200_000, 500_000, 1_000_000]),
            backlog: pick([60_000, 500_000, 1_000_000]),
            segment: pick([45_000, 100_000, 1_000_000]),
            settled: pick([100_000, 1_000_000, 10_000_000]),
            retention_seconds: pick([0, 10, 15]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_size_measures_at_least_as_much() {
        let [quick, normal, full] = [Size::Quick, Size::Default, Size::Full].map(Plan::sized);
        for (less, more) in [(&quick, &normal), (&normal, &full)] {
            assert!(less.rounds <= more.rounds && less.deliveries <= more.deliveries);
            assert!(less.burst <= more.burst && less.pending <= more.pending && less.settled <= more.settled);
            assert!(less.subscriptions <= more.subscriptions && less.backlog <= more.backlog);
        }
        assert_eq!((full.deliveries, full.burst, full.settled), (1_000_000, 1_000_000, 10_000_000));
    }

    #[test]
    fn events_option_sets_every_event_count() {
        let mut plan = Plan::sized(Size::Full);
        plan.scale(5_000);
        assert_eq!((plan.deliveries, plan.burst, plan.backlog, plan.segment), (5_000, 5_000, 5_000, 5_000));
        assert_eq!(plan.subscriptions, Plan::sized(Size::Full).subscriptions);
    }
}
