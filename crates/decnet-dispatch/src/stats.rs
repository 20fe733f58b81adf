//! Counters that the worker shares with whoever shows them.

use std::sync::atomic::{AtomicU64, Ordering};

use decnet_core::delivery::State;
use decnet_core::pulse::Pulse;

/// One counter; reading it is never exact while the worker runs, and need not be.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the worker has done since it started.
#[derive(Debug, Default)]
pub struct Stats {
    /// Events read from the bus.
    pub received: Counter,
    /// Events that no subscription asks for.
    pub unrouted: Counter,
    /// Messages that were no events.
    pub malformed: Counter,
    /// Events committed to the queue.
    pub admitted: Counter,
    /// Events whose id had been admitted before.
    pub duplicates: Counter,
    /// Deliveries that a receiver took.
    pub delivered: Counter,
    /// Attempts that will be repeated.
    pub retried: Counter,
    /// Deliveries given up.
    pub dead: Counter,
    /// Subscriptions with a valid row.
    pub subscriptions: Counter,
    /// Reloads of the subscriptions, the first one included.
    pub reloads: Counter,
    /// Deliveries in memory.
    pub held: Counter,
    /// Requests in flight.
    pub in_flight: Counter,
    /// Beats while the dispatcher's loop turns.
    pub pulse: Pulse,
}

impl Stats {
    pub(crate) fn count(&self, state: &State) {
        match state {
            State::Delivered => self.delivered.add(1),
            State::Dead { .. } => self.dead.add(1),
            State::Pending | State::Retrying { .. } => self.retried.add(1),
        }
    }
}
