//! The requests received since the last reset.

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
/// Percentiles in the table of latencies.
const PERCENTILES: [f64; 9] = [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// The requests received. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Receipts {
    /// Requests answered with 200.
    pub(crate) requests: u64,
    /// Bytes of their bodies.
    pub(crate) body_bytes: u64,
    /// Connections accepted.
    pub(crate) connections: u64,
    /// The time at which the first request was read.
    pub(crate) first_us: u64,
    /// The time at which the last request was read.
    pub(crate) last_us: u64,
    /// The time at which the first request with each mark was read.
    pub(crate) marks: BTreeMap<u32, u64>,
}

/// Latencies of the timed requests, in microseconds after their events were due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) count: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
    /// Pairs of percentile and latency.
    pub(crate) curve: Vec<(f64, u64)>,
}

/// State that all connections share.
pub(super) struct State {
    receipts: RefCell<Receipts>,
    latency: RefCell<Histogram<u64>>,
    is_open: Cell<bool>,
    opened: Notify,
}

impl Default for State {
    fn default() -> Self {
        let latency = RefCell::new(histogram());
        Self { receipts: RefCell::default(), latency, is_open: Cell::new(false), opened: Notify::new() }
    }
}

impl State {
    pub(super) fn connected(&self) {
        self.receipts.borrow_mut().connections += 1;
    }

    pub(super) fn count(&self, behaviour: Behaviour, body: &Body) {
        let (now, mut receipts) = (now_us(), self.receipts.borrow_mut());
        if receipts.requests == 0 {
            receipts.first_us = now;
        }
        receipts.requests += 1;
        receipts.body_bytes += body.bytes;
        receipts.last_us = now;
        if let Behaviour::Mark(number) = behaviour {
            receipts.marks.entry(number).or_insert(now);
        }
        if let Some(due) = body.due_us {
            self.latency.borrow_mut().saturating_record(now.saturating_sub(due));
        }
    }

    pub(super) fn receipts(&self) -> Receipts {
        self.receipts.borrow().clone()
    }

    pub(super) fn latencies(&self) -> Latencies {
        let taken = self.latency.borrow();
        let at = |quantile| taken.value_at_quantile(quantile);
        let curve = PERCENTILES.map(|percentile| (percentile, at(percentile / 100.0)));
        let (count, max_us) = (taken.len(), taken.max());
        Latencies { count, p50_us: at(0.5), p99_us: at(0.99), max_us, curve: curve.into() }
    }

    pub(super) fn reset(&self) {
        self.receipts.take();
        self.latency.borrow_mut().reset();
    }

    pub(super) fn open_gate(&self) {
        self.is_open.set(true);
        self.opened.notify_waiters();
    }

    pub(super) async fn wait_for_gate(&self) {
        // There is only one thread, so the gate cannot open between the check and the wait.
        if !self.is_open.get() {
            self.opened.notified().await;
        }
    }
}

/// Returns the time at which an event was due, from its payload.
pub(super) fn due_us(body: &[u8]) -> Option<u64> {
    let rest = &body[memchr::memmem::find(body, DUE)? + DUE.len()..];
    let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_time_is_found_in_a_body() {
        assert_eq!(due_us(br#"{"payload":{"due_us":123456,"pad":"x"}}"#), Some(123_456));
        assert_eq!(due_us(br#"{"payload":{"due_us":"x"}}"#), None);
        assert_eq!(due_us(b"{}"), None);
    }

    #[test]
    fn requests_are_counted_until_the_reset() {
        let state = State::default();
        let body = |due_us| Body { bytes: 600, due_us };
        state.count(Behaviour::Count, &body(None));
        state.count(Behaviour::Mark(3), &body(Some(now_us() - 5_000)));
        let (receipts, latencies) = (state.receipts(), state.latencies());
        assert_eq!((receipts.requests, receipts.body_bytes, latencies.count), (2, 1200, 1));
        assert_eq!(receipts.marks.keys().collect::<Vec<_>>(), [&3]);
        assert!(receipts.first_us <= receipts.marks[&3] && latencies.p50_us >= 5_000);
        state.reset();
        assert_eq!((state.receipts().requests, state.latencies().count), (0, 0));
    }
}
