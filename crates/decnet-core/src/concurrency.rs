//! How many requests a receiver is sent at once: as many as it takes without falling behind, found by trying.
//!
//! A receiver works on a number of requests at a time; what it is sent beyond them waits there, and shows as latency.
//! That number is not known, so a [`Window`] is kept as TCP keeps its congestion window:
//!
//! - It starts small and grows by one with each good reply, which doubles it each round trip (*slow start*, RFC 5681),
//!   until the first sign of congestion or until the latency rises (RFC 9406). From then on it grows by one a window.
//! - It grows only while it is used up (RFC 7661): what was never tried proves nothing.
//! - 429, 503, a timeout or a refused connection halve it, once for all that was in flight together (RFC 6582).
//! - So does, in proportion, a latency beyond twice the baseline, which is the latency without a queue. Other
//!   than TCP's, a receiver's queue drops nothing for a long time, so its latency is the earliest sign (TCP Vegas).
//!
//! The baseline follows the latency down by itself, but up only where no queue of ours can be in it: right after a
//! shrink, which goes below the point where the queue is empty and waits until what was sent before has come back. A
//! baseline that aged by itself would take the queue it measures for the receiver's nature, and creep up with it.
//! A receiver that has really become slower shrinks the window a few times, each of which raises the baseline.

use std::time::Duration;

use crate::delivery::{Outcome, Reason, Verdict, classify};
use crate::limits::{LATENCY_FLOOR, UNANSWERED_CONCURRENCY};

/// By how much the latency may exceed the baseline before it counts as congestion.
const TOLERANCE: f32 = 2.0;
/// By how much it may before slow start ends.
const SLOW_START_TOLERANCE: f32 = 1.25;
/// Share of the point where the queue is empty to which the window shrinks; with [`TOLERANCE`] it must be less than a
/// whole, so that the queue is drained.
const DRAIN: f32 = 0.8;
/// The most by which the latency shrinks it at once.
const MOST_SHRINK: f32 = 0.25;
/// The size to which the latency alone may shrink it: two requests make no queue worth the name.
#[expect(clippy::cast_possible_truncation, reason = "a few")]
const QUIET: u16 = UNANSWERED_CONCURRENCY as u16;
/// Replies over which latencies are averaged, at least and at most; between them it is half a window.
const MIN_MEMORY: u16 = 16;
const MAX_MEMORY: u16 = 64;
/// Replies after which an average is worth a judgement.
const MIN_SAMPLES: u16 = 8;
/// A latency counts as at most so many times the average: a single late one says nothing.
const OUTLIER: f32 = 4.0;
/// Share of the difference by which the baseline follows lower averages, with each reply, and higher ones, once after
/// a shrink.
const FALL: f32 = 1.0 / 256.0;
const RISE: f32 = 0.25;

/// The requests that one receiver may be sent at once. Learns from each reply; knows no clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Requests that may be in flight.
    size: u16,
    /// Good replies since it last grew, where it no longer doubles.
    grown: u16,
    /// Replies still to come of what was in flight when it shrank: they say nothing new.
    spared: u16,
    /// Latencies in the average.
    samples: u16,
    /// The average latency, in microseconds.
    latency: f32,
    /// What it would be without a queue; nothing yet if zero.
    baseline: f32,
    doubling: bool,
    /// It has just shrunk: the next average is one without a queue.
    measuring: bool,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: QUIET,
            grown: 0,
            spared: 0,
            samples: 0,
            latency: 0.0,
            baseline: 0.0,
            doubling: true,
            measuring: false,
        }
    }
}

impl Window {
    /// The window of a receiver of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests may be in flight, at least 1 and at most `max`.
    #[must_use]
    pub fn allowed(&self, max: usize) -> usize {
        usize::from(self.size).min(max).max(1)
    }

    /// Learns from an attempt that is over, of `in_flight` with itself.
    ///
    /// `latency` is the receiver's: from the request's being sent to the reply, without resolving and connecting, since
    /// a new connection is slow because it is new.
    pub fn finished(&mut self, outcome: &Outcome, latency: Duration, in_flight: usize) {
        let in_flight = u16::try_from(in_flight).unwrap_or(u16::MAX);
        if self.spared > 0 {
            self.spared -= 1;
        } else if is_congestion(outcome) {
            self.shrink(0.5, 1, in_flight);
        } else if matches!(classify(outcome), Verdict::Delivered | Verdict::Reject(Reason::BodyRefused)) {
            self.answered(latency, in_flight);
        }
    }

    /// A reply that says that the receiver is well.
    fn answered(&mut self, latency: Duration, in_flight: u16) {
        self.average(latency);
        let is_known = self.samples >= self.size.clamp(MIN_SAMPLES, self.memory());
        if self.measuring && is_known {
            self.measuring = false;
            self.baseline += (self.latency - self.baseline) * RISE;
        }
        let excess = self.latency / self.baseline;
        if is_known && excess > TOLERANCE {
            self.shrink((DRAIN / excess).max(MOST_SHRINK), QUIET, in_flight);
        } else if in_flight >= self.size && !self.measuring {
            self.doubling &= excess <= SLOW_START_TOLERANCE;
            self.grow();
        }
    }

    fn average(&mut self, latency: Duration) {
        let latency = latency.max(LATENCY_FLOOR).as_secs_f32() * 1e6;
        let latency = if self.samples > 0 { latency.min(self.latency * OUTLIER) } else { latency };
        self.samples = self.samples.saturating_add(1).min(self.memory());
        self.latency += (latency - self.latency) / f32::from(self.samples);
        if self.baseline == 0.0 {
            self.baseline = self.latency;
        }
        self.baseline += (self.latency - self.baseline).min(0.0) * FALL;
    }

    fn memory(&self) -> u16 {
        (self.size / 2).clamp(MIN_MEMORY, MAX_MEMORY)
    }

    fn grow(&mut self) {
        self.grown += 1;
        if self.doubling || self.grown >= self.size {
            self.size = self.size.saturating_add(1);
            self.grown = 0;
        }
    }

    /// Shrinks to a share, but not below `least` unless it is there already, and waits for what is in flight.
    fn shrink(&mut self, share: f32, least: u16, in_flight: u16) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "less than a u16, not negative"
        )]
        let shrunk = (f32::from(self.size) * share) as u16;
        self.size = shrunk.max(least.min(self.size));
        self.spared = in_flight.saturating_sub(1);
        (self.doubling, self.measuring) = (false, true);
        (self.grown, self.samples) = (0, 0);
    }
}

/// Does the receiver, or the way to it, say that it has enough?
fn is_congestion(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Replied { status: 429 | 503, .. } | Outcome::Failed(Reason::Timeout | Reason::Connect)
    )
}

#[cfg(test)]
mod tests;
