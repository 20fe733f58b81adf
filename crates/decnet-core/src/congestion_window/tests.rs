//! The window against receivers in a discrete event simulation; its clock is a number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use proptest::prelude::*;

use super::*;

const MILLIS: u64 = 1000;
const OK: Outcome = Outcome::Replied { status: 200, retry_after: None };
const BUSY: Outcome = Outcome::Replied { status: 503, retry_after: None };

/// A receiver that processes `capacity` requests at a time. Others wait; with more than `queue` of them it answers 503.
struct SimulatedReceiver {
    capacity: usize,
    queue: usize,
    /// The average service time in microseconds.
    service: u64,
    /// Whether service times are distributed exponentially. If not, they vary by a tenth.
    exponential: bool,
    now: u64,
    random: u64,
    working: usize,
    waiting: VecDeque<u64>,
    /// Future replies: their time, the time of the request, and whether the status is 503.
    replies: BinaryHeap<Reverse<(u64, u64, bool)>>,
}

#[derive(Default)]
struct LoadResult {
    /// The size of the window after each reply.
    allowed: Vec<usize>,
    latencies: Vec<u64>,
    refused: usize,
}

impl SimulatedReceiver {
    fn new(capacity: usize, service: u64) -> Self {
        let (waiting, replies) = (VecDeque::new(), BinaryHeap::new());
        let queue = usize::MAX;
        Self { capacity, queue, service, exponential: false, now: 0, random: 1, working: 0, waiting, replies }
    }

    fn in_flight(&self) -> usize {
        self.waiting.len() + self.replies.len()
    }

    fn send(&mut self) {
        if self.working < self.capacity {
            self.work(self.now);
        } else if self.waiting.len() < self.queue {
            self.waiting.push_back(self.now);
        } else {
            self.replies.push(Reverse((self.now + MILLIS, self.now, true)));
        }
    }

    fn work(&mut self, sent_at: u64) {
        self.working += 1;
        // A linear congruential generator (Knuth, MMIX) makes each run the same.
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = (self.random >> 11) as f64 / (1u64 << 53) as f64;
        let factor = if self.exponential { -(1.0 - uniform).ln() } else { 0.9 + uniform / 5.0 };
        let duration = Duration::from_micros(self.service).mul_f64(factor).as_micros();
        self.replies.push(Reverse((self.now + u64::try_from(duration).unwrap(), sent_at, false)));
    }

    /// Returns the outcome of the next reply and its latency in microseconds.
    fn reply(&mut self) -> (Outcome, u64) {
        let Reverse((at, sent_at, refused)) = self.replies.pop().expect("something is in flight");
        self.now = at;
        if refused {
            return (BUSY, at - sent_at);
        }
        self.working -= 1;
        if self.working < self.capacity
            && let Some(next) = self.waiting.pop_front()
        {
            self.work(next);
        }
        (OK, at - sent_at)
    }

    /// Keeps the window full for a number of replies.
    fn load(&mut self, window: &mut CongestionWindow, max: usize, replies: usize) -> LoadResult {
        let mut result = LoadResult::default();
        for _ in 0..replies {
            while self.in_flight() < window.allowed(max) {
                self.send();
            }
            let in_flight = self.in_flight();
            let (outcome, latency) = self.reply();
            window.finished(&outcome, Duration::from_micros(latency), in_flight);
            result.allowed.push(window.allowed(max));
            result.latencies.push(latency);
            result.refused += usize::from(outcome == BUSY);
        }
        result
    }
}

fn average(values: &[usize]) -> f64 {
    values.iter().sum::<usize>() as f64 / values.len() as f64
}

#[test]
fn window_converges_to_the_capacity_of_the_receiver() {
    for (capacity, service) in [(1, 50), (2, 100), (4, 100), (8, 1000), (16, 100), (32, 30), (40, 500)] {
        let mut receiver = SimulatedReceiver::new(capacity, service * MILLIS);
        let result = receiver.load(&mut CongestionWindow::default(), 256, 20_000);
        let settled = average(&result.allowed[2000..]);
        let bounds = 0.9 * capacity as f64..2.0 * capacity as f64 + 4.0;
        assert!(bounds.contains(&settled), "{settled} for {capacity} at {service} ms");
        // The largest latency, as the number of requests that the receiver processes in that time.
        let slowest =
            |latencies: &[u64]| latencies.iter().max().unwrap() * capacity as u64 / (service * MILLIS);
        let (initial, late) = (slowest(&result.latencies), slowest(&result.latencies[2000..]));
        assert!(initial <= 5 * capacity as u64 + 8, "an initial queue of {initial} for {capacity}");
        assert!(late <= 3 * capacity as u64 + 8, "a queue of {late} for {capacity}");
        let ideal = 20_000 / capacity as u64 * service * MILLIS;
        assert!(
            receiver.now < ideal * 11 / 10,
            "the receiver with capacity {capacity} was idle for more than a tenth of the time"
        );
    }
}

#[test]
fn unlimited_receiver_gets_the_maximum_after_few_round_trips() {
    for service in [1, 5, 80, 1000] {
        let mut receiver = SimulatedReceiver::new(1000, service * MILLIS);
        let result = receiver.load(&mut CongestionWindow::default(), 64, 1000);
        let full = result.allowed.iter().position(|allowed| *allowed == 64).unwrap();
        // Slow start: 2, 4, 8, 16 and 32 requests, plus one per reply of the last round trip.
        assert!(full <= 64, "only after {full} replies at {service} ms");
        assert!(result.allowed[full..].iter().all(|allowed| *allowed == 64));
    }
}

/// Exponential: most latencies are far below the average, and one in fifty is four times as long.
#[test]
fn exponential_latencies_are_not_congestion() {
    let receiver =
        |capacity| SimulatedReceiver { exponential: true, ..SimulatedReceiver::new(capacity, 80 * MILLIS) };
    let unlimited = receiver(1000).load(&mut CongestionWindow::default(), 64, 40_000);
    assert!(average(&unlimited.allowed[5000..]) > 48.0, "{}", average(&unlimited.allowed[5000..]));
    let limited = receiver(8).load(&mut CongestionWindow::default(), 64, 40_000);
    let settled = average(&limited.allowed[5000..]) / 8.0;
    assert!((0.9..2.6).contains(&settled), "{settled}");
}

#[test]
fn rising_latency_below_the_floor_is_not_congestion() {
    let mut window = CongestionWindow::default();
    for reply in 0..1000u64 {
        let in_flight = window.allowed(64);
        let latency = if reply < 10 { 40 } else { 40 + reply * 9 };
        window.finished(&OK, Duration::from_micros(latency), in_flight);
    }
    assert_eq!(window.allowed(64), 64);
}

#[test]
fn receiver_with_a_short_queue_rarely_answers_503() {
    let mut receiver = SimulatedReceiver::new(8, 50 * MILLIS);
    receiver.queue = 4;
    let result = receiver.load(&mut CongestionWindow::default(), 64, 20_000);
    let settled = average(&result.allowed[1000..]);
    assert!((6.0..=12.0).contains(&settled), "{settled}");
    assert!(result.refused < 500, "{} of 20000", result.refused);
}

#[test]
fn window_recovers_when_the_receiver_becomes_slower() {
    let mut receiver = SimulatedReceiver::new(1000, 100 * MILLIS);
    let mut window = CongestionWindow::default();
    receiver.load(&mut window, 64, 1000);
    receiver.service *= 4;
    let result = receiver.load(&mut window, 64, 5000);
    assert!(
        result.allowed.iter().any(|allowed| *allowed < 32),
        "the higher latency shrinks the window at first"
    );
    assert_eq!(window.allowed(64), 64);
}

#[test]
fn window_shrinks_when_the_receiver_loses_capacity() {
    let mut receiver = SimulatedReceiver::new(32, 100 * MILLIS);
    let mut window = CongestionWindow::default();
    receiver.load(&mut window, 256, 5000);
    receiver.capacity = 4;
    receiver.load(&mut window, 256, 5000);
    let result = receiver.load(&mut window, 256, 5000);
    assert!(average(&result.allowed) < 16.0, "{}", average(&result.allowed));
}

#[test]
fn requests_in_flight_together_shrink_the_window_once() {
    let mut window = CongestionWindow::default();
    SimulatedReceiver::new(1000, 10 * MILLIS).load(&mut window, 64, 500);
    for in_flight in (1..=64).rev() {
        window.finished(&BUSY, Duration::ZERO, in_flight);
    }
    assert_eq!(window.allowed(64), 32);
    window.finished(&Outcome::Failed(Reason::Timeout), Duration::ZERO, 32);
    assert_eq!(window.allowed(64), 16);
}

#[test]
fn other_failures_do_not_change_the_window() {
    let mut window = CongestionWindow::default();
    for outcome in [
        Outcome::Replied { status: 500, retry_after: None },
        Outcome::Replied { status: 404, retry_after: None },
        Outcome::Failed(Reason::Tls),
        Outcome::Failed(Reason::Resolve),
    ] {
        window.finished(&outcome, Duration::from_secs(1), 2);
        assert_eq!(window, CongestionWindow::default(), "{outcome:?}");
    }
}

#[test]
fn window_that_is_not_fully_used_does_not_grow() {
    let mut window = CongestionWindow::default();
    for _ in 0..1000 {
        window.finished(&OK, Duration::from_millis(1), 1);
    }
    assert_eq!(window.allowed(64), 2);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        8 => Just(OK),
        1 => prop::sample::select(&[200, 400, 404, 429, 500, 503][..])
            .prop_map(|status| Outcome::Replied { status, retry_after: None }),
        1 => prop::sample::select(&Reason::ALL[..]).prop_map(Outcome::Failed),
    ]
}

proptest! {
    #[test]
    fn window_stays_within_bounds(
        max in 1usize..100,
        steps in prop::collection::vec((outcome(), 0u64..100_000_000, 0usize..200), 0..500),
    ) {
        let mut window = CongestionWindow::default();
        for (outcome, micros, in_flight) in steps {
            let before = window.allowed(usize::MAX);
            window.finished(&outcome, Duration::from_micros(micros), in_flight);
            let after = window.allowed(usize::MAX);
            prop_assert!((1..=max).contains(&window.allowed(max)));
            prop_assert!(after <= before + 1 && after >= before / 4, "{before} to {after}");
            prop_assert!(after <= before || in_flight >= before, "grew without being fully used");
            prop_assert!(window.latency.is_finite() && window.baseline.is_finite() && window.baseline >= 0.0);
        }
    }
}
