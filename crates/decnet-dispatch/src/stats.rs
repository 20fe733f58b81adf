//! What the worker counts while it works, for whoever shows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use decnet_bus::Losses;
use decnet_core::delivery::{Reason, State};
pub use decnet_core::measure::Counter;
use decnet_core::measure::{Gauge, Histogram};
use decnet_core::pulse::Pulse;

use crate::shown::Shown;

/// Durations of an attempt, in microseconds.
const ATTEMPT_BOUNDS: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000, 60_000_000,
];
/// Times from an event to its 2xx, in microseconds: to days, for retries.
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
/// Durations of a reload, in microseconds.
const RELOAD_BOUNDS: &[u64] = &[1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000];

/// What the worker has done since it started.
#[derive(Debug)]
pub struct Stats {
    /// Events read from the bus, and taken from what was submitted.
    pub received: Counter,
    /// Events that no subscription asks for.
    pub unrouted: Counter,
    /// Messages that were no events.
    pub malformed: Counter,
    /// Events committed to the queue.
    pub admitted: Counter,
    /// Events whose id had been admitted before.
    pub duplicates: Counter,
    /// Deliveries that a receiver took, committed.
    pub delivered: Counter,
    /// Attempts that will be repeated, committed.
    pub retried: Counter,
    /// Deliveries given up, committed.
    pub dead: Counter,
    /// Of those, the ones that waited longer than retention allows.
    pub expired: Counter,
    /// Attempts that are over, committed or not yet: index 0 delivered, the others by the code of their reason.
    attempts: [Counter; Reason::ALL.len() + 1],
    /// Requests that were sent again within their attempt.
    pub repeats: Counter,
    /// Of an attempt, in microseconds.
    pub attempt_time: Histogram,
    /// From an event to the 2xx of a delivery of it, in microseconds; committed or not yet.
    pub delivery_time: Histogram,
    /// Subscriptions with a valid row.
    pub subscriptions: Gauge,
    /// Rows that cannot be used.
    pub bad_rows: Gauge,
    /// Reloads of the subscriptions, the first one included.
    pub reloads: Counter,
    /// Reloads that could not read the subscriptions.
    pub reload_failures: Counter,
    /// Of a reload, from its begin to its being in force, in microseconds.
    pub reload_time: Histogram,
    /// Subscriptions paused since their receivers fail.
    pub trips: Counter,
    /// Paused subscriptions whose receivers came back.
    pub recoveries: Counter,
    /// Deliveries in memory, seen once a second.
    pub held: Gauge,
    /// Requests in flight, seen once a second.
    pub in_flight: Gauge,
    /// Is the bus there?
    bus: AtomicBool,
    /// Connections to the bus so far.
    pub bus_connections: Counter,
    /// What the bus said last that it has lost since it started.
    bus_losses: Mutex<Option<Losses>>,
    /// Why the bus refuses the worker a lossless queue, and since when.
    bus_refusal: Mutex<Option<(Box<str>, Instant)>>,
    /// Events about its own work that the worker made.
    pub own_events: Counter,
    /// Such events that were not made since there were too many.
    pub own_events_left_out: Counter,
    /// Countings of what waits that are complete; before the first, what waited before the start is not known.
    pub censuses: Counter,
    /// Beats while the dispatcher's loop turns.
    pub pulse: Pulse,
    /// By subscription.
    pub shown: Shown,
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
            bus: AtomicBool::new(false),
            bus_connections: counter(),
            bus_losses: Mutex::default(),
            bus_refusal: Mutex::default(),
            own_events: counter(),
            own_events_left_out: counter(),
            censuses: counter(),
            pulse: Pulse::default(),
            shown: Shown::default(),
        }
    }
}

impl Stats {
    /// Attempts that came to this: `None` for delivered.
    #[must_use]
    pub fn attempts(&self, reason: Option<Reason>) -> &Counter {
        &self.attempts[reason.map_or(0, |reason| usize::from(reason.code()))]
    }

    /// Is there a connection to the bus, as far as is known?
    #[must_use]
    pub fn is_bus_connected(&self) -> bool {
        self.bus.load(Ordering::Relaxed)
    }

    /// What the bus has lost since it started, as it last said; `None` of a bus that does not say, such as DECNET's.
    #[must_use]
    pub fn bus_losses(&self) -> Option<Losses> {
        *self.bus_losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bus_has_lost(&self, losses: Option<Losses>) {
        *self.bus_losses.lock().unwrap_or_else(PoisonError::into_inner) = losses;
    }

    /// Why the bus gives the worker an ordinary queue although it asks for a lossless one, and since when. `None` while it
    /// has a lossless queue, while the bus is away, and at DECNET's bus, which has ordinary queues only.
    #[must_use]
    pub fn bus_refusal(&self) -> Option<(Box<str>, Instant)> {
        self.bus_refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes over the answer of the bus. Returns whether it is another one than before.
    pub(crate) fn bus_refuses(&self, why: Option<Box<str>>) -> bool {
        let mut refusal = self.bus_refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let before = refusal.as_ref().map(|(why, _)| why);
        let is_other = before != why.as_ref();
        if is_other {
            *refusal = why.map(|why| (why, Instant::now()));
        }
        is_other
    }

    pub(crate) fn count(&self, state: &State) {
        match state {
            State::Delivered => self.delivered.add(1),
            State::Dead { .. } => self.dead.add(1),
            State::Pending | State::Retrying { .. } => self.retried.add(1),
        }
    }

    pub(crate) fn bus_is(&self, connected: bool) {
        self.bus.store(connected, Ordering::Relaxed);
        self.bus_connections.add(u64::from(connected));
    }
}
