//! Windows against receivers that are simulated event by event: the only clock is a number.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use proptest::prelude::*;

use super::*;

const MILLIS: u64 = 1000;
const OK: Outcome = Outcome::Replied { status: 200, retry_after: None };
const BUSY: Outcome = Outcome::Replied { status: 503, retry_after: None };

/// A receiver that works on `capacity` requests at a time, each taking `service` microseconds give or take a tenth, or
/// that on average if it is `moody`; the others queue, and beyond `queue` of them it answers 503.
struct Simulated {
    capacity: usize,
    queue: usize,
    service: u64,
    moody: bool,
    now: u64,
    chance: u64,
    working: usize,
    waiting: VecDeque<u64>,
    /// Replies to come: when, when it was sent, is it a 503.
    replies: BinaryHeap<Reverse<(u64, u64, bool)>>,
}

/// What a receiver saw.
#[derive(Default)]
struct Seen {
    /// The window after each reply.
    allowed: Vec<usize>,
    latencies: Vec<u64>,
    refused: usize,
}

impl Simulated {
    fn new(capacity: usize, service: u64) -> Self {
        let (waiting, replies) = (VecDeque::new(), BinaryHeap::new());
        let queue = usize::MAX;
        Self { capacity, queue, service, moody: false, now: 0, chance: 1, working: 0, waiting, replies }
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
        // A linear congruential generator (Knuth, MMIX): the same run each time.
        self.chance =
            self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chance = (self.chance >> 11) as f64 / (1u64 << 53) as f64;
        let factor = if self.moody { -(1.0 - chance).ln() } else { 0.9 + chance / 5.0 };
        let takes = Duration::from_micros(self.service).mul_f64(factor).as_micros();
        self.replies.push(Reverse((self.now + u64::try_from(takes).unwrap(), sent_at, false)));
    }

    /// The next reply: its outcome and its latency in microseconds.
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

    /// Keeps a window full until so many replies have come.
    fn load(&mut self, window: &mut Window, max: usize, replies: usize) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..replies {
            while self.in_flight() < window.allowed(max) {
                self.send();
            }
            let in_flight = self.in_flight();
            let (outcome, latency) = self.reply();
            window.finished(&outcome, Duration::from_micros(latency), in_flight);
            seen.allowed.push(window.allowed(max));
            seen.latencies.push(latency);
            seen.refused += usize::from(outcome == BUSY);
        }
        seen
    }
}

fn average(values: &[usize]) -> f64 {
    values.iter().sum::<usize>() as f64 / values.len() as f64
}

#[test]
fn a_window_settles_about_what_its_receiver_works_on_at_once() {
    for (capacity, service) in [(1, 50), (2, 100), (4, 100), (8, 1000), (16, 100), (32, 30), (40, 500)] {
        let mut receiver = Simulated::new(capacity, service * MILLIS);
        let seen = receiver.load(&mut Window::new(), 256, 20_000);
        let settled = average(&seen.allowed[2000..]);
        let bounds = 0.9 * capacity as f64..2.0 * capacity as f64 + 4.0;
        assert!(bounds.contains(&settled), "{settled} for {capacity} at {service} ms");
        // In requests that fit the receiver: what waits is less than it works on, and a few.
        let slowest =
            |latencies: &[u64]| latencies.iter().max().unwrap() * capacity as u64 / (service * MILLIS);
        let (begun, late) = (slowest(&seen.latencies), slowest(&seen.latencies[2000..]));
        assert!(begun <= 5 * capacity as u64 + 8, "the beginning made a queue of {begun} for {capacity}");
        assert!(late <= 3 * capacity as u64 + 8, "a queue of {late} for {capacity}");
        let ideal = 20_000 / capacity as u64 * service * MILLIS;
        assert!(
            receiver.now < ideal * 11 / 10,
            "{capacity} had nothing to do for more than a tenth of the time"
        );
    }
}

#[test]
fn a_receiver_that_takes_all_is_sent_the_maximum_within_few_round_trips() {
    for service in [1, 5, 80, 1000] {
        let mut receiver = Simulated::new(1000, service * MILLIS);
        let seen = receiver.load(&mut Window::new(), 64, 1000);
        let full = seen.allowed.iter().position(|allowed| *allowed == 64).unwrap();
        // 2, 4, 8, 16 and 32 of them, and one more while they come in.
        assert!(full <= 64, "only after {full} replies at {service} ms");
        assert!(seen.allowed[full..].iter().all(|allowed| *allowed == 64));
    }
}

/// Exponential: the most of them far below the average, and one in fifty four times as long.
#[test]
fn latencies_that_vary_wildly_are_no_queue() {
    let moody = |capacity| Simulated { moody: true, ..Simulated::new(capacity, 80 * MILLIS) };
    let far = moody(1000).load(&mut Window::new(), 64, 40_000);
    assert!(average(&far.allowed[5000..]) > 48.0, "{}", average(&far.allowed[5000..]));
    let near = moody(8).load(&mut Window::new(), 64, 40_000);
    let settled = average(&near.allowed[5000..]) / 8.0;
    assert!((0.9..2.6).contains(&settled), "{settled}");
}

#[test]
fn latencies_below_the_floor_are_no_congestion_whatever_they_do() {
    let mut window = Window::new();
    for reply in 0..1000u64 {
        let in_flight = window.allowed(64);
        let latency = if reply < 10 { 40 } else { 40 + reply * 9 };
        window.finished(&OK, Duration::from_micros(latency), in_flight);
    }
    assert_eq!(window.allowed(64), 64);
}

#[test]
fn a_receiver_that_refuses_what_it_cannot_queue_is_seldom_made_to() {
    let mut receiver = Simulated::new(8, 50 * MILLIS);
    receiver.queue = 4;
    let seen = receiver.load(&mut Window::new(), 64, 20_000);
    let settled = average(&seen.allowed[1000..]);
    assert!((6.0..=12.0).contains(&settled), "{settled}");
    assert!(seen.refused < 500, "{} of 20000", seen.refused);
}

#[test]
fn a_receiver_that_has_become_slower_is_found_out_and_not_punished() {
    let mut receiver = Simulated::new(1000, 100 * MILLIS);
    let mut window = Window::new();
    receiver.load(&mut window, 64, 1000);
    receiver.service *= 4;
    let seen = receiver.load(&mut window, 64, 5000);
    assert!(seen.allowed.iter().any(|allowed| *allowed < 32), "at first it might have been a queue");
    assert_eq!(window.allowed(64), 64);
}

#[test]
fn a_receiver_that_has_lost_most_of_its_capacity_gets_less() {
    let mut receiver = Simulated::new(32, 100 * MILLIS);
    let mut window = Window::new();
    receiver.load(&mut window, 256, 5000);
    receiver.capacity = 4;
    receiver.load(&mut window, 256, 5000);
    let seen = receiver.load(&mut window, 256, 5000);
    assert!(average(&seen.allowed) < 16.0, "{}", average(&seen.allowed));
}

#[test]
fn what_was_in_flight_together_shrinks_the_window_once() {
    let mut window = Window::new();
    Simulated::new(1000, 10 * MILLIS).load(&mut window, 64, 500);
    for in_flight in (1..=64).rev() {
        window.finished(&BUSY, Duration::ZERO, in_flight);
    }
    assert_eq!(window.allowed(64), 32);
    window.finished(&Outcome::Failed(Reason::Timeout), Duration::ZERO, 32);
    assert_eq!(window.allowed(64), 16);
}

#[test]
fn other_failures_say_nothing_about_how_many_are_too_many() {
    let mut window = Window::new();
    for outcome in [
        Outcome::Replied { status: 500, retry_after: None },
        Outcome::Replied { status: 404, retry_after: None },
        Outcome::Failed(Reason::Tls),
        Outcome::Failed(Reason::Resolve),
    ] {
        window.finished(&outcome, Duration::from_secs(1), 2);
        assert_eq!(window, Window::new(), "{outcome:?}");
    }
}

#[test]
fn a_window_that_is_not_used_up_does_not_grow() {
    let mut window = Window::new();
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
    fn a_window_keeps_its_bounds_whatever_happens(
        max in 1usize..100,
        steps in prop::collection::vec((outcome(), 0u64..100_000_000, 0usize..200), 0..500),
    ) {
        let mut window = Window::new();
        for (outcome, micros, in_flight) in steps {
            let before = window.allowed(usize::MAX);
            window.finished(&outcome, Duration::from_micros(micros), in_flight);
            let after = window.allowed(usize::MAX);
            prop_assert!((1..=max).contains(&window.allowed(max)));
            prop_assert!(after <= before + 1 && after >= before / 4, "{before} to {after}");
            prop_assert!(after <= before || in_flight >= before, "it grew though it was not used up");
            prop_assert!(window.latency.is_finite() && window.baseline.is_finite() && window.baseline >= 0.0);
        }
    }
}
