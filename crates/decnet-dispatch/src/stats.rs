//! The metrics of the worker.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use decnet_bus::Losses;
use decnet_core::delivery::{Reason, State};
use decnet_runtime::liveness::Liveness;
pub use decnet_runtime::metrics::Counter;
use decnet_runtime::metrics::{Gauge, Histogram};

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
#[derive(Debug)]
pub struct Stats {
    /// Events read from the bus or taken from the submissions in the queue.
    pub received: Counter,
    /// Events that match no subscription.
    pub unrouted: Counter,
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
    /// Dead deliveries that had waited longer than retention allows.
    pub expired: Counter,
    /// Completed attempts, committed or not: index 0 delivered, the others by the code of their reason.
    attempts: [Counter; Reason::ALL.len() + 1],
    /// Requests that were sent again within their attempt.
    pub repeats: Counter,
    /// Durations of attempts, in microseconds.
    pub attempt_time: Histogram,
    /// The time from an event to the 2xx for each of its deliveries, in microseconds; committed or not.
    pub delivery_time: Histogram,
    /// Subscriptions with a valid row.
    pub subscriptions: Gauge,
    /// Subscriptions with an invalid row.
    pub bad_rows: Gauge,
    /// Reloads of the subscriptions, the first one included.
    pub reloads: Counter,
    /// Reloads that failed to read the subscriptions.
    pub reload_failures: Counter,
    /// Durations of reloads, from the start until the subscriptions are in effect, in microseconds.
    pub reload_time: Histogram,
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
    /// The reason and the start of the bus's refusal of a lossless queue.
    bus_refusal: Mutex<Option<(Box<str>, Instant)>>,
    /// Operational events that the worker published.
    pub operational_events: Counter,
    /// Operational events that the rate limit suppressed.
    pub suppressed_operational_events: Counter,
    /// Completed censuses of the queue. Before the first one, deliveries from before the start are not counted.
    pub censuses: Counter,
    /// The liveness of the dispatcher's loop.
    pub liveness: Liveness,
    /// The metrics of each subscription.
    pub by_subscription: SubscriptionRegistry,
}

impl Default for Stats {
    fn default() -> Self {
        let counter = Counter::default;
        Self {
            received: counter(),
            unrouted: counter(),
            malformed: counter(),
            admitted: counter(),
            duplicates: counter(),
            delivered: counter(),
            retried: counter(),
            dead: counter(),
            expired: counter(),
            attempts: std::array::from_fn(|_| counter()),
            repeats: counter(),
            attempt_time: Histogram::new(ATTEMPT_BOUNDS),
            delivery_time: Histogram::new(DELIVERY_BOUNDS),
            subscriptions: Gauge::default(),
            bad_rows: Gauge::default(),
            reloads: counter(),
            reload_failures: counter(),
            reload_time: Histogram::new(RELOAD_BOUNDS),
            trips: counter(),
            recoveries: counter(),
            held: Gauge::default(),
            in_flight: Gauge::default(),
            bus_connected: AtomicBool::new(false),
            bus_connections: counter(),
            bus_losses: Mutex::default(),
            bus_refusal: Mutex::default(),
            operational_events: counter(),
            suppressed_operational_events: counter(),
            censuses: counter(),
            liveness: Liveness::default(),
            by_subscription: SubscriptionRegistry::default(),
        }
    }
}

impl Stats {
    /// Returns the counter of attempts with an outcome: `None` for delivered.
    #[must_use]
    pub fn attempts(&self, reason: Option<Reason>) -> &Counter {
        &self.attempts[reason.map_or(0, |reason| usize::from(reason.code()))]
    }

    /// Returns whether the bus is connected, as far as is known.
    #[must_use]
    pub fn is_bus_connected(&self) -> bool {
        self.bus_connected.load(Ordering::Relaxed)
    }

    /// Returns the losses of the bus since its start, as last reported; `None` for a bus that reports none, such as DECNET's.
    #[must_use]
    pub fn bus_losses(&self) -> Option<Losses> {
        *self.bus_losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_bus_losses(&self, losses: Option<Losses>) {
        *self.bus_losses.lock().unwrap_or_else(PoisonError::into_inner) = losses;
    }

    /// Returns the reason why the bus refused the lossless queue that the worker requested, and when it first did. `None` while
    /// the queue is lossless, while the bus is disconnected, and with DECNET's bus, which has only ordinary queues.
    #[must_use]
    pub fn bus_refusal(&self) -> Option<(Box<str>, Instant)> {
        self.bus_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records the reason of a refusal, or that there is none. Returns whether it has changed.
    pub(crate) fn set_bus_refusal(&self, why: Option<Box<str>>) -> bool {
        let mut refusal = self.bus_refusal.lock().unwrap_or_else(PoisonError::into_inner);
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
            State::Dead { .. } => self.dead.add(1),
            State::Pending | State::Retrying { .. } => self.retried.add(1),
        }
    }

    pub(crate) fn set_bus_connected(&self, connected: bool) {
        self.bus_connected.store(connected, Ordering::Relaxed);
        self.bus_connections.add(u64::from(connected));
    }
}
