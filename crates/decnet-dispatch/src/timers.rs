//! When to look at which lane again: one timer of each kind a lane, so that no more are kept than there are lanes.

use std::collections::BTreeSet;

use decnet_core::time::BootMicros;
use decnet_store::queue::SubscriptionKey;

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A retry or a probe is due.
    Due,
    /// The lane's rate or its batch allows the next attempt.
    Wake,
}

/// In the order of their time.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<(BootMicros, SubscriptionKey, Kind)>);

impl Timers {
    /// Sets a lane's timer to `at`, in place of the one in `slot`, unless that is earlier anyway.
    pub(crate) fn set(
        &mut self,
        slot: &mut Option<BootMicros>,
        lane: SubscriptionKey,
        kind: Kind,
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

    /// The earliest.
    pub(crate) fn next(&self) -> Option<BootMicros> {
        self.0.first().map(|(at, ..)| *at)
    }

    /// Takes the earliest of those that are due at `now`.
    pub(crate) fn pop(&mut self, now: BootMicros) -> Option<(BootMicros, SubscriptionKey, Kind)> {
        self.next().filter(|at| *at <= now).and_then(|_| self.0.pop_first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaced_timers_do_not_pile_up() {
        let (mut timers, lane, far) = (Timers::default(), SubscriptionKey(1), BootMicros(1_000_000));
        for now in (0..1000).map(BootMicros) {
            // A retry that is far off is known, then a near one comes and fires.
            let mut slot = None;
            timers.set(&mut slot, lane, Kind::Due, far);
            timers.set(&mut slot, lane, Kind::Due, now);
            timers.set(&mut slot, lane, Kind::Due, far);
            assert_eq!(timers.pop(now), Some((now, lane, Kind::Due)));
        }
        assert!(timers.0.is_empty());
    }

    #[test]
    fn kinds_do_not_touch_each_other() {
        let (mut timers, lane, at) = (Timers::default(), SubscriptionKey(1), BootMicros(5));
        timers.set(&mut None, lane, Kind::Due, at);
        timers.set(&mut None, lane, Kind::Wake, at);
        assert_eq!(timers.pop(BootMicros(4)), None);
        assert_eq!(
            [timers.pop(at), timers.pop(at)],
            [Some((at, lane, Kind::Due)), Some((at, lane, Kind::Wake))]
        );
    }
}
