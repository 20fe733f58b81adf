//! The number of concurrent requests to a receiver, found by congestion control.
//!
//! A receiver works on a limited number of requests at a time. Any further requests queue there and increase the latency.
//! The limit is not known in advance, so a [`CongestionWindow`] estimates it as TCP does:
//!
//! - The window starts small and grows by one per good reply, so it doubles every round trip (*slow start*, RFC 5681).
//!   Slow start ends at the first sign of congestion, or when the latency rises (RFC 9406). Then it grows by one per window.
//! - The window grows only while it is fully used (RFC 7661): a limit that was not reached was not tested.
//! - A 429, a 503, a timeout or a failed connection halves the window, once for all requests in flight together (RFC 6582).
//! - A latency above twice the baseline shrinks the window in proportion. The baseline is the latency without a queue.
//!   Unlike a TCP bottleneck, a receiver queues for a long time before it drops, so latency is the earliest sign
//!   (TCP Vegas).
//!
//! The baseline follows a lower latency at any time, but a higher latency only right after a shrink. A shrink goes below the
//! point where the queue is empty, and the sample starts when all earlier requests have returned. Therefore the sample does not
//! include a queue of our own. A baseline that simply followed the average would include the queue, and both would grow together.
//! If a receiver has really become slower, the window shrinks a few times, and each shrink raises the baseline.

use std::time::Duration;

use crate::delivery::{Outcome, Reason, classify};
use crate::limits::{INITIAL_CONCURRENCY, LATENCY_FLOOR};

/// The ratio of latency to baseline above which the window shrinks.
const TOLERANCE: f32 = 2.0;
/// The ratio of latency to baseline above which slow start ends.
const SLOW_START_TOLERANCE: f32 = 1.25;
/// The share of the size without a queue to which the window shrinks. Below 1, so that the queue drains.
const DRAIN: f32 = 0.8;
/// The smallest share to which latency shrinks the window at once.
const MIN_SHRINK: f32 = 0.25;
/// The initial size, and the smallest to which latency shrinks the window: two requests do not make a relevant queue.
#[expect(clippy::cast_possible_truncation, reason = "a small constant")]
const INITIAL_SIZE: u16 = INITIAL_CONCURRENCY as u16;
/// The bounds of the number of replies in the average latency. Between the bounds the number is half the window.
const MIN_AVERAGED: u16 = 16;
const MAX_AVERAGED: u16 = 64;
/// The number of replies from which the average is used.
const MIN_SAMPLES: u16 = 8;
/// The ratio of a latency to the average above which it is clipped, so that one late reply changes little.
const OUTLIER: f32 = 4.0;
/// The share of the difference by which each reply lowers the baseline.
const FALL: f32 = 1.0 / 256.0;
/// The share of the difference by which the first average after a shrink raises the baseline.
const RISE: f32 = 0.25;

/// The limit on concurrent requests to one receiver. Adapts with each finished attempt; does not read a clock.
#[derive(Debug, Clone, PartialEq)]
pub struct CongestionWindow {
    /// The number of requests that may be in flight.
    size: u16,
    /// The number of good replies since the last growth, outside of slow start.
    acked: u16,
    /// The number of requests that were in flight at the last shrink and have not finished. Their outcomes are ignored.
    recovery_remaining: u16,
    /// The number of latencies in the average.
    samples: u16,
    /// The average latency, in microseconds.
    latency: f32,
    /// The latency without a queue, in microseconds. 0 before the first reply.
    baseline: f32,
    slow_start: bool,
    /// Whether the next average is used to adjust the baseline, since the window has just shrunk.
    sampling_baseline: bool,
}

/// The window for a receiver without any replies.
impl Default for CongestionWindow {
    fn default() -> Self {
        Self {
            size: INITIAL_SIZE,
            acked: 0,
            recovery_remaining: 0,
            samples: 0,
            latency: 0.0,
            baseline: 0.0,
            slow_start: true,
            sampling_baseline: false,
        }
    }
}

impl CongestionWindow {
    /// Returns the number of requests that may be in flight, at least 1 and at most `max`.
    #[must_use]
    pub fn allowed(&self, max: usize) -> usize {
        usize::from(self.size).min(max).max(1)
    }

    /// Adapts to a finished attempt. `in_flight` includes that attempt.
    ///
    /// `latency` is the time from sending the request to the reply. It excludes name resolution and connecting, because a new
    /// connection is slow however idle the receiver is.
    pub fn finished(&mut self, outcome: &Outcome, latency: Duration, in_flight: usize) {
        let in_flight = u16::try_from(in_flight).unwrap_or(u16::MAX);
        if self.recovery_remaining > 0 {
            self.recovery_remaining -= 1;
        } else if is_congestion(outcome) {
            self.shrink(0.5, 1, in_flight);
        } else if classify(outcome).shows_healthy_receiver() {
            self.healthy_reply(latency, in_flight);
        }
    }

    fn healthy_reply(&mut self, latency: Duration, in_flight: u16) {
        self.add_sample(latency);
        let has_enough_samples = self.samples >= self.size.clamp(MIN_SAMPLES, self.max_averaged());
        if self.sampling_baseline && has_enough_samples {
            self.sampling_baseline = false;
            self.baseline += (self.latency - self.baseline) * RISE;
        }
        let excess = self.latency / self.baseline;
        if has_enough_samples && excess > TOLERANCE {
            self.shrink((DRAIN / excess).max(MIN_SHRINK), INITIAL_SIZE, in_flight);
        } else if in_flight >= self.size && !self.sampling_baseline {
            self.slow_start &= excess <= SLOW_START_TOLERANCE;
            self.grow();
        }
    }

    fn add_sample(&mut self, latency: Duration) {
        let latency = latency.max(LATENCY_FLOOR).as_secs_f32() * 1e6;
        let latency = if self.samples > 0 { latency.min(self.latency * OUTLIER) } else { latency };
        self.samples = self.samples.saturating_add(1).min(self.max_averaged());
        self.latency += (latency - self.latency) / f32::from(self.samples);
        if self.baseline == 0.0 {
            self.baseline = self.latency;
        }
        self.baseline += (self.latency - self.baseline).min(0.0) * FALL;
    }

    fn max_averaged(&self) -> u16 {
        (self.size / 2).clamp(MIN_AVERAGED, MAX_AVERAGED)
    }

    fn grow(&mut self) {
        self.acked += 1;
        if self.slow_start || self.acked >= self.size {
            self.size = self.size.saturating_add(1);
            self.acked = 0;
        }
    }

    /// Shrinks the window to a share of its size, but not below `min` (or its size, if that is smaller).
    fn shrink(&mut self, share: f32, min: u16, in_flight: u16) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "less than a u16, not negative"
        )]
        let shrunk = (f32::from(self.size) * share) as u16;
        self.size = shrunk.max(min.min(self.size));
        self.recovery_remaining = in_flight.saturating_sub(1);
        (self.slow_start, self.sampling_baseline) = (false, true);
        (self.acked, self.samples) = (0, 0);
    }
}

/// Returns whether an outcome shows overload of the receiver or of the network.
fn is_congestion(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Replied { status: 429 | 503, .. } | Outcome::Failed(Reason::Timeout | Reason::Connect)
    )
}

#[cfg(test)]
mod tests;
