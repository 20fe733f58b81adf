//! The state of a delivery, and the one function that changes it.

use super::{Fate, Reason, RetrySchedule, Verdict};
use crate::limits::RETRIES_BEFORE_FAILURE;
use crate::time::UnixMicros;

/// The stored state of a delivery.
///
/// *Parked* is not a state: a delivery is parked while it is not final and its subscription is tripped, gone or
/// disabled. So parking or resuming a million deliveries writes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet attempted.
    Pending,
    /// Attempted without success, and waiting for the next attempt.
    Retrying {
        /// The time from which the next attempt may start.
        due_at: UnixMicros,
    },
    /// Accepted by the receiver with a 2xx. Final.
    Delivered,
    /// Not delivered and no longer retried; kept, listed and redeliverable. Final.
    Dead {
        /// The reason why the delivery failed.
        reason: Reason,
    },
}

impl State {
    /// Returns whether the state changes only if an operator redelivers the event.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead { .. })
    }
}

/// Returns the state after an attempt. `attempts` includes that attempt, but no earlier [free](Fate::is_free) attempt; `jitter`
/// is from -1 to 1.
#[must_use]
pub fn advance(attempts: u32, fate: &Fate, schedule: &RetrySchedule, now: UnixMicros, jitter: f64) -> State {
    match *fate {
        Fate::Delivered => State::Delivered,
        Fate::Unattempted => State::Pending,
        Fate::Dead(reason) => State::Dead { reason },
        Fate::RetryNow => State::Retrying { due_at: now },
        Fate::RetryBySchedule { reason, after } => match schedule.next_delay(attempts, after, jitter) {
            Some(delay) => State::Retrying { due_at: now.after(delay) },
            None => State::Dead { reason },
        },
    }
}

/// Returns whether the delivery counts as failed in the health of its subscription with this attempt. `attempts` is
/// counted as for [`advance`].
///
/// This happens once per delivery: when it is rejected, when its quick retries are used up (later retries go on for days, but
/// the receiver has a problem now), or with the first attempt if a quick retry cannot help. A failed probe uses up no retry.
#[must_use]
pub fn counts_as_failed(attempts: u32, verdict: &Verdict, is_probe: bool, schedule: &RetrySchedule) -> bool {
    match *verdict {
        Verdict::Delivered | Verdict::NotSent | Verdict::Reject(Reason::BodyRefused | Reason::Template) => {
            false
        }
        Verdict::Gone | Verdict::Reject(_) => true,
        Verdict::Retry { .. } | Verdict::Hold if is_probe => false,
        Verdict::Hold => true,
        Verdict::Retry { reason: Reason::Forbidden, .. } => attempts == 1,
        Verdict::Retry { .. } => attempts == 1 + RETRIES_BEFORE_FAILURE.min(schedule.retries()),
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
    fn state_depends_on_fate_and_attempts() {
        let schedule: RetrySchedule = "1s,2s".parse().unwrap();
        let retry = Fate::RetryBySchedule { reason: Reason::ServerError, after: None };
        let deferred =
            Fate::RetryBySchedule { reason: Reason::Throttled, after: Some(Duration::from_secs(9)) };
        let dead = |reason| State::Dead { reason };
        for (attempts, fate, expected) in [
            (1, &Fate::Delivered, State::Delivered),
            (3, &Fate::Delivered, State::Delivered),
            (1, &Fate::Dead(Reason::Refused), dead(Reason::Refused)),
            (1, &Fate::RetryNow, due_in(0)),
            (3, &Fate::RetryNow, due_in(0)),
            (3, &Fate::Unattempted, State::Pending),
            (1, &retry, due_in(1)),
            (2, &retry, due_in(2)),
            (3, &retry, dead(Reason::ServerError)),
            (1, &deferred, due_in(9)),
            (3, &deferred, dead(Reason::Throttled)),
        ] {
            assert_eq!(advance(attempts, fate, &schedule, NOW, 0.0), expected, "{fate:?} at {attempts}");
        }
    }

    #[test]
    fn refused_batch_is_retried_now_without_using_a_retry() {
        let no_retries: RetrySchedule = "".parse().unwrap();
        let refused = Verdict::Reject(Reason::BodyRefused);
        assert_eq!(advance(1, &refused.fate(false, 100), &no_retries, NOW, 0.0), due_in(0));
        assert!(!counts_as_failed(1, &refused, false, &no_retries));
    }

    #[test]
    fn delivery_counts_as_failed_once() {
        let long = RetrySchedule::default();
        let short: RetrySchedule = "1s".parse().unwrap();
        let retry = Verdict::Retry { reason: Reason::ServerError, after: None };
        let counted =
            |schedule| (1..=10).filter(|n| counts_as_failed(*n, &retry, false, schedule)).collect::<Vec<_>>();
        assert_eq!(counted(&long), [4]);
        assert_eq!(counted(&short), [2]);
        for is_probe in [false, true] {
            let counts = |attempts, verdict| counts_as_failed(attempts, &verdict, is_probe, &short);
            assert!(counts(1, Verdict::Reject(Reason::Refused)));
            assert!(counts(1, Verdict::Gone));
            assert!(!counts(1, Verdict::Reject(Reason::BodyRefused)));
            assert!(!counts(1, Verdict::Delivered));
            assert!((1..=10).all(|attempts| !counts(attempts, Verdict::NotSent)));
        }
    }

    #[test]
    fn failed_probe_does_not_count_the_delivery_as_failed() {
        let schedule = RetrySchedule::default();
        for reason in [Reason::ServerError, Reason::Forbidden] {
            let retry = Verdict::Retry { reason, after: None };
            assert!((1..=10).all(|attempts| !counts_as_failed(attempts, &retry, true, &schedule)));
        }
    }

    /// Makes all attempts of the schedule, each after the same free attempts: `p` for a failed probe, `b` for a refused batch,
    /// `g` for a 410.
    #[test]
    fn free_attempts_neither_delay_nor_end_a_delivery() {
        let schedule: RetrySchedule = "1s,2s,4s,8s".parse().unwrap();
        let failed = Verdict::Retry { reason: Reason::ServerError, after: None };
        let refused = Verdict::Reject(Reason::BodyRefused);
        for kinds in ["", "p", "pppppppp", "b", "bbb", "g", "bpgbpgbpgbpg"] {
            let (mut attempts, mut free, mut failures) = (0, 0, 0);
            let mut attempt = |verdict: &Verdict, is_probe, batch_size| {
                let (fate, counted) = (verdict.fate(is_probe, batch_size), attempts - free + 1);
                attempts += 1;
                free += u32::from(fate.is_free());
                failures += usize::from(counts_as_failed(counted, verdict, is_probe, &schedule));
                advance(counted, &fate, &schedule, NOW, 0.0)
            };
            for expected in
                [due_in(1), due_in(2), due_in(4), due_in(8), State::Dead { reason: Reason::ServerError }]
            {
                for kind in kinds.chars() {
                    let state = match kind {
                        'p' => attempt(&failed, true, 1),
                        'b' => attempt(&refused, false, 8),
                        _ => attempt(&Verdict::Gone, false, 1),
                    };
                    assert_eq!(state, due_in(0), "{kind} of {kinds:?}");
                }
                assert_eq!(attempt(&failed, false, 1), expected, "after {kinds:?}");
            }
            let gone = 5 * kinds.chars().filter(|kind| *kind == 'g').count();
            assert_eq!(failures, gone + 1, "{kinds:?}");
        }
    }
}
