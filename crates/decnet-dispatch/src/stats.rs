//! The metrics of the worker.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use decnet_bus::Losses;
use decnet_core::delivery::{Reason, State};
use decnet_runtime::liveness::Liveness;
pub use decnet_runtime::metrics::Counter;
use decnet_runtime::metrics::{Gauge, Histogram};
use decnet_runtime::sync::lock;

use crate::subscription_metrics::SubscriptionRegistry;

/// The bucket bounds for durations of attempts, in microseconds.
const ATTEMPT_BOUNDS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// The bucket bounds for the time from an event to its 2xx, in microseconds; up to a day because of retries.
const DELIVERY_BOUNDS: &[u64] = &[
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    3_600_000_000,
    21_600_000_000,
    86_400_000_000,
];
/// The bucket bounds for durations of reloads, in microseconds.
const RELOAD_BOUNDS: &[u64] = &[1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// The metrics of the worker. Counters start at zero when the worker starts.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events read from the bus or taken from the submissions in the queue.
    pub received: Counter,
    /// Events that match no subscription.
    pub unrouted: Counter,
    /// Deliveries that a severity floor or a filter excluded.
    pub excluded: Counter,
    /// Messages on the bus that were not valid events.
    pub malformed: Counter,
    /// Events committed to the queue.
    pub admitted: Counter,
    /// Events whose id had been admitted before.
    pub duplicates: Counter,
    /// Deliveries that a receiver accepted; counted when committed.
    pub delivered: Counter,
    /// Failed attempts that will be retried; counted when committed.
    pub retried: Counter,
    /// Dead deliveries; counted when committed.
    pub dead: Counter,
    /// Dead deliveries in the order of [`Reason::ALL`]; counted when committed.
    dead_by_reason: [Counter; Reason::ALL.len()],
    /// Dead deliveries that had waited longer than retention allows.
    pub expired: Counter,
    /// Completed attempts, committed or not: index 0 delivered, the others by the code of their reason.
    attempts: [Counter; Reason::ALL.len() + 1],
    /// Requests that were sent again within their attempt.
    pub repeats: Counter,
    /// Durations, in microseconds.
    pub times: Times,
    /// Subscriptions with a valid row.
    pub subscriptions: Gauge,
    /// Subscriptions with an invalid row.
    pub bad_rows: Gauge,
    /// Reloads of the subscriptions, including the first reload.
    pub reloads: Counter,
    /// Reloads that failed to read the subscriptions.
    pub reload_failures: Counter,
    /// Circuit breaker trips of subscriptions.
    pub trips: Counter,
    /// Tripped subscriptions whose receivers recovered.
    pub recoveries: Counter,
    /// Deliveries in memory, sampled once a second.
    pub held: Gauge,
    /// Requests in flight, sampled once a second.
    pub in_flight: Gauge,
    /// Whether the bus is connected.
    bus_connected: AtomicBool,
    /// Connections to the bus.
    pub bus_connections: Counter,
    /// The losses of the bus since its start, as last reported.
    bus_losses: Mutex<Option<Losses>>,
    /// The reason for the bus's refusal of a lossless queue, and the time at which it began.
    bus_refusal: Mutex<Option<(Box<str>, Instant)>>,
    /// Operational events that the worker published.
    pub operational_events: Counter,
    /// Operational events that the rate limit suppressed.
    pub suppressed_operational_events: Counter,
    /// Completed censuses of the queue. Before the first census, deliveries from before the start are not counted.
    pub censuses: Counter,
    /// The liveness of the dispatcher's loop.
    pub liveness: Liveness,
    /// The metrics of each subscription.
    pub by_subscription: SubscriptionRegistry,
}

/// The distributions of durations, in microseconds.
#[derive(Debug)]
pub struct Times {
    /// Durations of attempts.
    pub attempt: Histogram,
    /// The time from an event to the 2xx for each of its deliveries; committed or not.
    pub delivery: Histogram,
    /// Durations of reloads, from the start until the subscriptions are in effect.
    pub reload: Histogram,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            attempt: Histogram::new(ATTEMPT_BOUNDS),
            delivery: Histogram::new(DELIVERY_BOUNDS),
            reload: Histogram::new(RELOAD_BOUNDS),
        }
    }
}

impl Stats {
    /// Returns the counter of attempts with an outcome: `None` for delivered.
    #[must_use]
    pub fn attempts(&self, reason: Option<Reason>) -> &Counter {
        &self.attempts[reason.map_or(0, |reason| usize::from(reason.code()))]
    }

    /// Returns the number of completed attempts that failed, for any reason.
    #[must_use]
    pub fn failed_attempts(&self) -> u64 {
        Reason::ALL.into_iter().map(|reason| self.attempts(Some(reason)).get()).sum()
    }

    /// Returns the counter of deliveries that are dead for this reason. Deletion and erasure are not counted.
    #[must_use]
    pub fn dead_by_reason(&self, reason: Reason) -> &Counter {
        &self.dead_by_reason[usize::from(reason.code()) - 1]
    }

    /// Returns whether the bus is connected, as far as is known.
    #[must_use]
    pub fn is_bus_connected(&self) -> bool {
        self.bus_connected.load(Ordering::Relaxed)
    }

    /// Returns the losses of the bus since its start, as last reported; `None` for a bus that reports none, such as DECNET's.
    #[must_use]
    pub fn bus_losses(&self) -> Option<Losses> {
        *lock(&self.bus_losses)
    }

    pub(crate) fn set_bus_losses(&self, losses: Option<Losses>) {
        *lock(&self.bus_losses) = losses;
    }

    /// Returns the reason why the bus refused the lossless queue that the worker requested, and the time of the first refusal.
    /// `None` while the queue is lossless, while the bus is disconnected, and with DECNET's bus, which has only ordinary queues.
    #[must_use]
    pub fn bus_refusal(&self) -> Option<(Box<str>, Instant)> {
        lock(&self.bus_refusal).clone()
    }

    /// Records the reason for a refusal, or that there is none. Returns whether it has changed.
    pub(crate) fn set_bus_refusal(&self, why: Option<Box<str>>) -> bool {
        let mut refusal = lock(&self.bus_refusal);
        let before = refusal.as_ref().map(|(why, _)| why);
        let has_changed = before != why.as_ref();
        if has_changed {
            *refusal = why.map(|why| (why, Instant::now()));
        }
        has_changed
    }

    /// Counts a settled attempt by the new state of its delivery.
    pub(crate) fn count_settled(&self, state: &State) {
        match state {
            State::Delivered => self.delivered.add(1),
            State::Dead { reason } => self.count_dead(*reason, 1),
            State::Pending | State::Retrying { .. } => self.retried.add(1),
        }
    }

    /// Counts deliveries that are dead for this reason.
    pub(crate) fn count_dead(&self, reason: Reason, deliveries: u64) {
        self.dead.add(deliveries);
        self.dead_by_reason(reason).add(deliveries);
    }

    pub(crate) fn set_bus_connected(&self, connected: bool) {
        self.bus_connected.store(connected, Ordering::Relaxed);
        self.bus_connections.add(u64::from(connected));
    }
}
