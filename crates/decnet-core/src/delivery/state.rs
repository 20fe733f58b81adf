//! The state of a delivery, and the one function that changes it.

use super::{Reason, RetrySchedule, Verdict};
use crate::limits::QUICK_RETRIES;
use crate::time::UnixMicros;

/// Where a delivery stands.
///
/// *Parked* is no state of its own: a delivery is parked while it is not final and its subscription is
/// tripped, gone or disabled, so that parking or resuming a million of them writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet attempted.
    Pending,
    /// Attempted; again at `due_at`.
    Retrying {
        /// When its next attempt may start.
        due_at: UnixMicros,
    },
    /// A 2xx came back. Final.
    Delivered,
    /// Given up; kept, listed and redeliverable. Final.
    Dead {
        /// Why.
        reason: Reason,
    },
}

impl State {
    /// Does nothing follow it by itself?
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead { .. })
    }
}

/// The state after an attempt: `attempts` counts it, `jitter` is from -1 to 1.
#[must_use]
pub fn advance(
    attempts: u32,
    verdict: &Verdict,
    schedule: &RetrySchedule,
    now: UnixMicros,
    jitter: f64,
) -> State {
    match *verdict {
        Verdict::Delivered => State::Delivered,
        Verdict::Postpone => State::Pending,
        Verdict::Reject(reason) => State::Dead { reason },
        Verdict::Park(_) => State::Retrying { due_at: now },
        Verdict::Retry { reason, after } => match schedule.next_delay(attempts, after, jitter) {
            Some(delay) => State::Retrying { due_at: now.after(delay) },
            None => State::Dead { reason },
        },
    }
}

/// Is this the attempt with which its delivery counts as failed in its subscription's health?
///
/// Once per delivery: when it is given up, when the quick retries are used (a delivery then goes on for
/// days, but its receiver is in trouble now), or at once where trying again soon cannot help.
#[must_use]
pub fn counts_as_failed(attempts: u32, verdict: &Verdict, schedule: &RetrySchedule) -> bool {
    match *verdict {
        Verdict::Delivered | Verdict::Postpone => false,
        Verdict::Reject(reason) | Verdict::Park(reason) => reason.blames_receiver(),
        Verdict::Retry { reason: Reason::Forbidden, .. } => attempts == 1,
        Verdict::Retry { .. } => attempts == 1 + QUICK_RETRIES.min(schedule.retries()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: UnixMicros = UnixMicros(1_000_000_000);

    fn due_in(seconds: u64) -> State {
        State::Retrying { due_at: NOW.after(Duration::from_secs(seconds)) }
    }

    #[test]
    fn every_verdict_at_every_attempt() {
        let schedule: RetrySchedule = "1s,2s".parse().unwrap();
        let retry = Verdict::Retry { reason: Reason::ServerError, after: None };
        let asked = Verdict::Retry { reason: Reason::Throttled, after: Some(Duration::from_secs(9)) };
        let dead = |reason| State::Dead { reason };
        for (attempts, verdict, expected) in [
            (1, &Verdict::Delivered, State::Delivered),
            (3, &Verdict::Delivered, State::Delivered),
            (1, &Verdict::Reject(Reason::Refused), dead(Reason::Refused)),
            (1, &Verdict::Park(Reason::Gone), due_in(0)),
            (3, &Verdict::Postpone, State::Pending),
            (1, &retry, due_in(1)),
            (2, &retry, due_in(2)),
            (3, &retry, dead(Reason::ServerError)),
            (1, &asked, due_in(9)),
            (3, &asked, dead(Reason::Throttled)),
        ] {
            assert_eq!(
                advance(attempts, verdict, &schedule, NOW, 0.0),
                expected,
                "{verdict:?} at {attempts}"
            );
        }
    }

    #[test]
    fn what_a_batch_was_refused_for_uses_up_no_retry_and_blames_nobody() {
        let none: RetrySchedule = "".parse().unwrap();
        let member = Verdict::Reject(Reason::BodyRefused).of_member(100);
        assert_eq!(advance(1, &member, &none, NOW, 0.0), due_in(0));
        assert!(!counts_as_failed(1, &member, &none));
    }

    #[test]
    fn a_delivery_counts_as_failed_once() {
        let long = RetrySchedule::default();
        let short: RetrySchedule = "1s".parse().unwrap();
        let retry = Verdict::Retry { reason: Reason::ServerError, after: None };
        let counted =
            |schedule| (1..=10).filter(|n| counts_as_failed(*n, &retry, schedule)).collect::<Vec<_>>();
        assert_eq!(counted(&long), [4]);
        assert_eq!(counted(&short), [2]);
        assert!(counts_as_failed(1, &Verdict::Reject(Reason::Refused), &long));
        assert!(!counts_as_failed(1, &Verdict::Reject(Reason::BodyRefused), &long));
        assert!(!counts_as_failed(1, &Verdict::Delivered, &long));
        assert!((1..=10).all(|attempts| !counts_as_failed(attempts, &Verdict::Postpone, &short)));
    }
}
