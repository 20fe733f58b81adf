//! The requests received since the last reset.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::behaviour::Behaviour;
use crate::load::now_us;
use crate::quantiles::percentile;

/// The payload's field with the time at which an event was due, in microseconds since 1970.
const DUE: &[u8] = b"\"due_us\":";
/// Percentiles in the table of latencies.
const PERCENTILES: [f64; 9] = [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 99.0, 99.9, 99.99];

/// The requests received. Times are microseconds since 1970.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Receipts {
    /// Requests answered with 200.
    pub requests: u64,
    /// Connections accepted.
    pub connections: u64,
    /// The time at which the first request was read.
    pub first_us: u64,
    /// The time at which the last request was read.
    pub last_us: u64,
    /// The time at which the first request with each mark was read.
    pub marks: BTreeMap<u32, u64>,
}

/// Latencies of the timed requests, in microseconds after their events were due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latencies {
    /// The number of timed requests.
    pub count: usize,
    /// The median.
    pub p50_us: u64,
    /// The 99th percentile.
    pub p99_us: u64,
    /// The longest latency.
    pub max_us: u64,
    /// Pairs of percentile and latency.
    pub curve: Vec<(f64, u64)>,
}

/// State that all connections share.
#[derive(Debug, Default)]
pub(super) struct State {
    receipts: RefCell<Receipts>,
    latencies_us: RefCell<Vec<u64>>,
    is_open: Cell<bool>,
    opened: Notify,
}

impl State {
    pub(super) fn connected(&self) {
        self.receipts.borrow_mut().connections += 1;
    }

    pub(super) fn count(&self, behaviour: Behaviour, due_us: Option<u64>) {
        let (now, mut receipts) = (now_us(), self.receipts.borrow_mut());
        if receipts.requests == 0 {
            receipts.first_us = now;
        }
        receipts.requests += 1;
        receipts.last_us = now;
        if let Behaviour::Mark(number) = behaviour {
            receipts.marks.entry(number).or_insert(now);
        }
        if let Some(due) = due_us {
            self.latencies_us.borrow_mut().push(now.saturating_sub(due));
        }
    }

    pub(super) fn receipts(&self) -> Receipts {
        self.receipts.borrow().clone()
    }

    pub(super) fn latencies(&self) -> Latencies {
        let mut sorted = self.latencies_us.borrow().clone();
        sorted.sort_unstable();
        let at = |percent| percentile(&sorted, percent);
        let curve = PERCENTILES.map(|percent| (percent, at(percent))).into();
        Latencies { count: sorted.len(), p50_us: at(50.0), p99_us: at(99.0), max_us: at(100.0), curve }
    }

    pub(super) fn reset(&self) {
        self.receipts.take();
        self.latencies_us.take();
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
        state.count(Behaviour::Count, None);
        state.count(Behaviour::Mark(3), Some(now_us() - 5_000));
        let (receipts, latencies) = (state.receipts(), state.latencies());
        assert_eq!((receipts.requests, latencies.count), (2, 1));
        assert_eq!(receipts.marks.keys().collect::<Vec<_>>(), [&3]);
        assert!(receipts.first_us <= receipts.marks[&3] && latencies.p50_us >= 5_000);
        state.reset();
        assert_eq!((state.receipts().requests, state.latencies().count), (0, 0));
    }
}
