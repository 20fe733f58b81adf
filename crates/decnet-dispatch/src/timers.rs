//! The timers of the lanes: at most one of each kind per lane, so that the number of lanes bounds the number of timers.

use std::collections::BTreeSet;

use decnet_core::time::BootMicros;
use decnet_store::queue::SubscriptionKey;

/// The purpose of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerKind {
    /// A retry or a probe is due.
    Due,
    /// The lane's rate or its batch allows the next attempt.
    Wake,
}

/// The timers of all lanes, ordered by time.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(BootMicros, SubscriptionKey, TimerKind)>);

impl Timers {
    /// Sets a lane's timer to `at` unless it is set to an earlier time. `slot` is the time to which the timer is set.
    pub(crate) fn set(
        &mut self,
        slot: &mut Option<BootMicros>,
        lane: SubscriptionKey,
        kind: TimerKind,
        at: BootMicros,
    ) {
        if slot.is_some_and(|set| set <= at) {
            return;
        }
        if let Some(later) = slot.replace(at) {
            self.0.remove(&(later, lane, kind));
        }
        self.0.insert((at, lane, kind));
    }

    /// Returns the earliest time.
    pub(crate) fn next(&self) -> Option<BootMicros> {
        self.0.first().map(|(at, ..)| *at)
    }

    /// Removes and returns the earliest timer that is due at `now`.
    pub(crate) fn pop(&mut self, now: BootMicros) -> Option<(BootMicros, SubscriptionKey, TimerKind)> {
        self.next().filter(|at| *at <= now).and_then(|_| self.0.pop_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_timers_are_removed() {
        let (mut timers, lane, far) = (Timers::default(), SubscriptionKey(1), BootMicros(1_000_000));
        for now in (0..1000).map(BootMicros) {
            // A far retry is replaced by a near one, which fires.
            let mut slot = None;
            timers.set(&mut slot, lane, TimerKind::Due, far);
            timers.set(&mut slot, lane, TimerKind::Due, now);
            timers.set(&mut slot, lane, TimerKind::Due, far);
            assert_eq!(timers.pop(now), Some((now, lane, TimerKind::Due)));
        }
        assert!(timers.0.is_empty());
    }

    #[test]
    fn timers_of_different_kinds_are_independent() {
        let (mut timers, lane, at) = (Timers::default(), SubscriptionKey(1), BootMicros(5));
        timers.set(&mut None, lane, TimerKind::Due, at);
        timers.set(&mut None, lane, TimerKind::Wake, at);
        assert_eq!(timers.pop(BootMicros(4)), None);
        assert_eq!(
            [timers.pop(at), timers.pop(at)],
            [Some((at, lane, TimerKind::Due)), Some((at, lane, TimerKind::Wake))]
        );
    }
}
