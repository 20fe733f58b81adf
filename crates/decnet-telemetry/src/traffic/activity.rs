//! The recent activity of each subscription.

use std::collections::HashMap;

use decnet_api::Activity;
use decnet_core::limits::{TRAFFIC_SPARKLINE_INTERVAL, TRAFFIC_SPARKLINE_INTERVALS};
use decnet_core::time::BootMicros;
use decnet_dispatch::SubscriptionRegistry;

use super::ring::Ring;

/// Deliveries and failed attempts.
type Pair = (u32, u32);

/// The recent activity of subscriptions by UUID. One without any activity takes no memory.
#[derive(Debug)]
pub(super) struct Activities {
    anchor: i64,
    by_uuid: HashMap<Box<str>, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The counters at the last sample.
    last: (u64, u64),
    intervals: Ring<Pair>,
}

impl Activities {
    /// Creates an empty set; see [`Ring::new`] for `anchor`.
    pub(super) fn new(anchor: i64) -> Self {
        Self { anchor, by_uuid: HashMap::new() }
    }

    /// Adds what has happened since `since`, and forgets subscriptions that no longer exist.
    pub(super) fn sample(&mut self, registry: &SubscriptionRegistry, since: BootMicros) {
        let found = registry.activities();
        for activity in &found {
            self.record(&activity.uuid, (activity.delivered, activity.failed_attempts), since);
        }
        if self.by_uuid.len() > found.len() {
            let found: HashMap<&str, ()> = found.iter().map(|activity| (&*activity.uuid, ())).collect();
            self.by_uuid.retain(|uuid, _| found.contains_key(&**uuid));
        }
    }

    fn record(&mut self, uuid: &str, now: (u64, u64), since: BootMicros) {
        let entry = match self.by_uuid.get_mut(uuid) {
            Some(entry) => entry,
            None if now == (0, 0) => return,
            None => {
                let ring = Ring::new(TRAFFIC_SPARKLINE_INTERVAL, TRAFFIC_SPARKLINE_INTERVALS, self.anchor);
                self.by_uuid.entry(uuid.into()).or_insert(Entry { last: (0, 0), intervals: ring })
            }
        };
        // A subscription that was removed and added again counts from zero.
        let more =
            |now: u64, last: u64| u32::try_from(now.checked_sub(last).unwrap_or(now)).unwrap_or(u32::MAX);
        let (delivered, failed) = (more(now.0, entry.last.0), more(now.1, entry.last.1));
        if (delivered, failed) != (0, 0) {
            let pair = entry.intervals.at(since);
            *pair = (pair.0.saturating_add(delivered), pair.1.saturating_add(failed));
        }
        entry.last = now;
    }

    /// Returns the intervals up to `now` of each subscription that was active in them.
    pub(super) fn read(&self, now: BootMicros) -> Activity {
        let intervals = |entry: &Entry| {
            let pairs = entry.intervals.read(now).map(|(_, pair)| pair.copied().unwrap_or_default());
            pairs.collect::<Vec<_>>()
        };
        let all = self.by_uuid.iter().map(|(uuid, entry)| (uuid.clone(), intervals(entry)));
        all.filter(|(_, pairs)| pairs.iter().any(|pair| *pair != (0, 0))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: i64 = 150_000_000;

    #[test]
    fn differences_are_recorded_and_quiet_subscriptions_take_no_memory() {
        let mut activities = Activities::new(0);
        activities.record("quiet", (0, 0), BootMicros(STEP));
        activities.record("a", (5, 1), BootMicros(STEP));
        activities.record("a", (7, 1), BootMicros(STEP + 1));
        activities.record("a", (7, 4), BootMicros(2 * STEP));
        activities.record("a", (1, 0), BootMicros(2 * STEP));
        assert_eq!(activities.by_uuid.len(), 1);
        let read = activities.read(BootMicros(2 * STEP));
        let pairs = &read["a"];
        assert_eq!(pairs.len(), TRAFFIC_SPARKLINE_INTERVALS);
        assert_eq!(pairs[TRAFFIC_SPARKLINE_INTERVALS - 2..], [(7, 1), (1, 3)], "the last count began anew");
        assert!(activities.read(BootMicros(100 * STEP)).is_empty(), "it was not active lately");
    }

    #[test]
    fn removed_subscriptions_are_forgotten() {
        let mut activities = Activities::new(0);
        activities.record("a", (5, 1), BootMicros(STEP));
        activities.sample(&SubscriptionRegistry::default(), BootMicros(STEP));
        assert!(activities.by_uuid.is_empty());
    }
}
