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
    /// The sizes that the targets name.
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
    pub(crate) fdatasyncs: u32,
    /// Seconds at each rate.
    pub(crate) latency_seconds: u64,
    /// Events in the burst.
    pub(crate) burst: u64,
    /// Seconds without the bad receivers, and again with them.
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
    /// Seconds of the latency measurement during retention. Zero skips it, because retention starts only once
    /// a minute.
    pub(crate) retention_seconds: u64,
}

/// Number of events that the publisher may be ahead of the receiver: far more than a lane holds in memory,
/// and fewer than the bus may hold for its readers.
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
        let counted = [
            &mut self.deliveries,
            &mut self.burst,
            &mut self.spread,
            &mut self.pending,
            &mut self.backlog,
            &mut self.settled,
        ];
        counted.into_iter().for_each(|count| *count = events);
        self.segment = self.segment.min(events);
    }

    fn sized(size: Size) -> Self {
        match size {
            Size::Quick => Self::quick(),
            Size::Default => Self::normal(),
            Size::Full => Self::full(),
        }
    }

    fn quick() -> Self {
        Self {
            size: Size::Quick,
            rounds: 1,
            deliveries: 100_000,
            requests: 100_000,
            ahead: AHEAD,
            fdatasyncs: 300,
            latency_seconds: 4,
            burst: 200_000,
            isolation_seconds: 4,
            neighbour_seconds: 3,
            spread: 40_000,
            routing_seconds: 1,
            subscriptions: 20_000,
            reloads: 3,
            pending: 200_000,
            backlog: 60_000,
            segment: 45_000,
            settled: 100_000,
            retention_seconds: 0,
        }
    }

    fn normal() -> Self {
        Self {
            size: Size::Default,
            rounds: 3,
            deliveries: 300_000,
            requests: 300_000,
            ahead: AHEAD,
            fdatasyncs: 1000,
            latency_seconds: 20,
            burst: 500_000,
            isolation_seconds: 12,
            neighbour_seconds: 10,
            spread: 200_000,
            routing_seconds: 3,
            subscriptions: 100_000,
            reloads: 5,
            pending: 500_000,
            backlog: 500_000,
            segment: 100_000,
            settled: 1_000_000,
            retention_seconds: 10,
        }
    }

    fn full() -> Self {
        Self {
            size: Size::Full,
            deliveries: 1_000_000,
            requests: 1_000_000,
            latency_seconds: 30,
            burst: 1_000_000,
            isolation_seconds: 20,
            neighbour_seconds: 15,
            spread: 500_000,
            routing_seconds: 5,
            reloads: 10,
            pending: 1_000_000,
            backlog: 1_000_000,
            segment: 1_000_000,
            settled: 10_000_000,
            retention_seconds: 15,
            ..Self::normal()
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
