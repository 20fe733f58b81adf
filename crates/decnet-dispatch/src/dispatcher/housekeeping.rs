//! What goes on beside the deliveries: retention, and the end of deleted subscriptions.

use decnet_store::queue::{Retention, SubscriptionKey};

use super::{Dispatcher, Done};
use crate::clock;
use crate::lane::{Lane, Status};

impl Dispatcher {
    /// One small step of retention; the next follows while there is more to do.
    pub(super) fn retain(&mut self) {
        if std::mem::replace(&mut self.retaining, true) {
            return;
        }
        let parked =
            self.lanes.values().filter(|lane| lane.status != Status::Open).map(|lane| lane.key).collect();
        let (queue, policy) = (self.queue.clone(), Retention { parked, ..self.options.retention.clone() });
        let work = async move { queue.retain(policy, clock::now()).await };
        self.write(work, |retained| Done::Retained { more: retained.more });
    }

    pub(super) fn retained(&mut self, more: bool) {
        self.writes -= 1;
        self.retaining = false;
        if more && !self.stopping {
            self.retain();
        }
    }

    /// Ends what waits for a deleted subscription, step by step.
    pub(super) fn forget(&mut self, key: SubscriptionKey) {
        let queue = self.queue.clone();
        let work = async move { queue.forget(key, clock::now()).await };
        self.write(work, move |more| Done::Forgotten { key, more });
    }

    pub(super) fn forgotten(&mut self, key: SubscriptionKey, more: bool) {
        self.writes -= 1;
        // A lane is there for it until nothing of it is under way, and none if it was deleted before we started.
        let lane = self.lanes.get(&key);
        if lane.is_some_and(|lane| lane.status != Status::Deleted) {
            return;
        }
        if more && !self.stopping {
            self.forget(key);
        } else if lane.is_some_and(Lane::is_idle) {
            self.lanes.remove(&key);
        }
    }

    /// Another process may have asked for redeliveries: looks now and then, since it cannot tell us.
    pub(super) fn ask_changed_elsewhere(&mut self) {
        let queue = self.queue.clone();
        self.write(async move { queue.changed_elsewhere().await }, Done::ChangedElsewhere);
    }

    pub(super) fn changed_elsewhere(&mut self, changed: bool) {
        self.writes -= 1;
        if changed && !self.stopping {
            self.look_for_waiting();
        }
    }
}
