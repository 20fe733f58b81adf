//! What came, since it was last forgotten.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::Body;
use super::behaviour::Behaviour;
use crate::clock::{histogram, now_us};

/// The payload's field with the time at which an event was due, in microseconds since 1970.
const DUE: &[u8] = b"\"due_us\":";
/// The percentiles that are plotted.
const PERCENTILES: [f64; 9] = [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// What came. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// Requests that were answered with 200.
    pub(crate) requests: u64,
    /// Bytes of their bodies.
    pub(crate) body_bytes: u64,
    /// Connections accepted.
    pub(crate) connections: u64,
    /// When the first request had been read.
    pub(crate) first_us: u64,
    /// When the last one had been.
    pub(crate) last_us: u64,
    /// When the first one with each mark had been.
    pub(crate) marks: BTreeMap<u32, u64>,
}

/// How late the timed ones were, in microseconds after they were due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// Pairs of percentile and time.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// What all connections share.
pub(super) struct State {
    seen: RefCell<Seen>,
    latency: RefCell<Histogram<u64>>,
    is_open: Cell<bool>,
    opened: Notify,
}

impl Default for State {
    fn default() -> Self {
        let latency = RefCell::new(histogram());
        Self { seen: RefCell::default(), latency, is_open: Cell::new(false), opened: Notify::new() }
    }
}

impl State {
    pub(super) fn connected(&self) {
        self.seen.borrow_mut().connections += 1;
    }

    pub(super) fn count(&self, behaviour: Behaviour, body: &Body) {
        let (now, mut seen) = (now_us(), self.seen.borrow_mut());
        if seen.requests == 0 {
            seen.first_us = now;
        }
        seen.requests += 1;
        seen.body_bytes += body.bytes;
        seen.last_us = now;
        if let Behaviour::Mark(number) = behaviour {
            seen.marks.entry(number).or_insert(now);
        }
        if let Some(due) = body.due_us {
            self.latency.borrow_mut().saturating_record(now.saturating_sub(due));
        }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    pub(super) fn latencies(&self) -> Latencies {
        let taken = self.latency.borrow();
        let at = |quantile| taken.value_at_quantile(quantile);
        let curve = PERCENTILES.map(|percentile| (percentile, at(percentile / 100.0)));
        let (count, max_us) = (taken.len(), taken.max());
        Latencies { count, p50_us: at(0.5), p99_us: at(0.99), max_us, curve: curve.into() }
    }

    pub(super) fn reset(&self) {
        self.seen.take();
        self.latency.borrow_mut().reset();
    }

    pub(super) fn open_gate(&self) {
        self.is_open.set(true);
        self.opened.notify_waiters();
    }

    pub(super) async fn gate_is_open(&self) {
        // One thread: nothing opens it between the question and the wait.
        if !self.is_open.get() {
            self.opened.notified().await;
        }
    }
}

/// The time at which an event was due, as its payload says.
pub(super) fn due_us(body: &[u8]) -> Option<u64> {
    let rest = &body[memchr::memmem::find(body, DUE)? + DUE.len()..];
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_due_time_is_found_in_a_body() {
        assert_eq!(due_us(br#"{"payload":{"due_us":123456,"pad":"x"}}"#), Some(123_456));
        assert_eq!(due_us(br#"{"payload":{"due_us":"x"}}"#), None);
        assert_eq!(due_us(b"{}"), None);
    }

    #[test]
    fn what_came_is_counted_until_it_is_forgotten() {
        let state = State::default();
        let body = |due_us| Body { bytes: 600, due_us };
        state.count(Behaviour::Count, &body(None));
        state.count(Behaviour::Mark(3), &body(Some(now_us() - 5_000)));
        let (seen, latencies) = (state.seen(), state.latencies());
        assert_eq!((seen.requests, seen.body_bytes, latencies.count), (2, 1200, 1));
        assert_eq!(seen.marks.keys().collect::<Vec<_>>(), [&3]);
        assert!(seen.first_us <= seen.marks[&3] && latencies.p50_us >= 5_000);
        state.reset();
        assert_eq!((state.seen().requests, state.latencies().count), (0, 0));
    }
}
