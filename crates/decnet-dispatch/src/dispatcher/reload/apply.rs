//! Applies changed rows to their lanes and the routing table: each row in one step, and a few rows per turn of the loop, so
//! that a change of all rows does not delay deliveries.

use std::vec;

use decnet_core::health::Health;
use decnet_core::limits::MAX_RETRY_AFTER;
use decnet_core::subscription::{Activity, Subscription};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_core::topic::Pattern;
use decnet_store::catalog::StoredSubscription;
use decnet_store::queue::SubscriptionKey;

use super::super::Dispatcher;
use super::read::{LastLoad, Loaded};
use crate::lane::Lane;
use crate::lane_state::LaneState;
use decnet_runtime::clock;

/// The number of rows per turn, which take about a millisecond.
const ROWS_PER_TURN: usize = 256;

/// The rows that are not applied yet.
#[derive(Debug, Default)]
pub(super) struct PendingRows {
    changed: vec::IntoIter<(SubscriptionKey, StoredSubscription)>,
    missing: vec::IntoIter<SubscriptionKey>,
    /// The lanes without a row before this reload.
    rowless: vec::IntoIter<SubscriptionKey>,
}

/// Returns the patterns by which events are routed to the subscription.
fn routed_patterns(stored: &StoredSubscription) -> &[Pattern] {
    match stored.subscription.activity {
        Activity::Disabled => &[],
        Activity::Active | Activity::Tripped => &stored.subscription.patterns,
    }
}

impl Dispatcher {
    pub(super) fn start_applying(&mut self, (last_load, loaded): (LastLoad, Loaded)) {
        self.reload.last_load = last_load;
        if let Some(content) = loaded.severities {
            self.apply_severities(content);
        }
        self.reload.log_problems(&loaded.problems);
        self.reload.invalid = loaded.invalid;
        self.stats.bad_rows.set(self.reload.invalid.len() as u64);
        self.stats.subscriptions.set(loaded.usable as u64);
        let rowless: Vec<SubscriptionKey> = self.reload.rowless.iter().copied().collect();
        self.reload.pending = PendingRows {
            changed: loaded.changed.into_iter(),
            missing: loaded.missing.into_iter(),
            rowless: rowless.into_iter(),
        };
    }

    /// Applies some rows. Returns whether there may be more.
    pub(super) fn apply_some(&mut self) -> bool {
        for _ in 0..ROWS_PER_TURN {
            let PendingRows { changed, missing, rowless } = &mut self.reload.pending;
            if let Some((key, stored)) = changed.next() {
                self.apply_row(key, stored);
            } else if let Some(key) = missing.next() {
                self.remove_row(key);
            } else if let Some(key) = rowless.next() {
                self.close_rowless(key);
            } else {
                self.reload.pending = PendingRows::default();
                return false;
            }
        }
        true
    }

    fn apply_row(&mut self, key: SubscriptionKey, stored: StoredSubscription) {
        let was_rowless = self.reload.rowless.remove(&key);
        self.reroute(key, was_rowless, routed_patterns(&stored));
        self.selection.replace(key, Some(&stored.settings));
        let number = self.reload.number;
        match self.lanes.get(&key) {
            Some(lane) if lane.matches_row(&stored) => {}
            // The row does not show the worker's own change yet. The row is read again once that change is written.
            Some(lane) if lane.pending_health.has_circuit_change() => {
                self.reload.has_skipped = true;
                self.skip_row(key, &stored);
            }
            // The change was written after the row was read. It is read again at once.
            Some(lane) if lane.pending_health.outdates(number) => {
                self.reload.is_requested = true;
                self.skip_row(key, &stored);
            }
            Some(_) => self.change_lane(key, stored),
            None => self.open_lane(key, stored),
        }
    }

    /// Routes a lane's events by the patterns `new`. Until now they were routed by the patterns of its row, if it had a row.
    fn reroute(&mut self, key: SubscriptionKey, was_rowless: bool, new: &[Pattern]) {
        let lane = self.lanes.get(&key).filter(|_| !was_rowless);
        let old = lane.map_or(&[][..], |lane| routed_patterns(&lane.stored));
        self.routing.replace(key, old, new);
    }

    /// Leaves a lane unchanged until its row is read again, except for its patterns.
    fn skip_row(&mut self, key: SubscriptionKey, stored: &StoredSubscription) {
        self.reload.is_partial = true;
        let lane = &mut self.lanes[key];
        self.reload.reread(lane);
        lane.stored.subscription.patterns = routed_patterns(stored).to_vec();
    }

    fn open_lane(&mut self, key: SubscriptionKey, stored: StoredSubscription) {
        let failures = stored.subscription.consecutive_failures;
        let health = Health::new(failures, self.options.circuit_threshold);
        let state = LaneState::of_row(&stored, self.first_probe());
        let Subscription { uuid, name, .. } = &stored.subscription;
        let mut metrics = self.stats.by_subscription.register(uuid, name, state.reported(&stored));
        metrics.show_state(state, &stored);
        if metrics.is_individual {
            self.census.individual.push(key);
        }
        let deferred_until = stored.deferred_until;
        let (clock, context) = (self.clock.clone(), self.selection.render_context());
        self.lanes.insert(key, Lane::new(key, stored, health, state, metrics, clock, context));
        self.restore_deferral(key, deferred_until);
        match state {
            LaneState::Tripped { next_at, .. } => self.schedule(key, next_at),
            // At the start, one query finds the backlogs of all lanes. Later, a row that was invalid may have one.
            LaneState::Open if self.reload.is_loaded => self.schedule(key, BootMicros(0)),
            _ => {}
        }
    }

    /// Holds the lane until the time that an earlier worker has recorded for its receiver.
    fn restore_deferral(&mut self, key: SubscriptionKey, until: Option<UnixMicros>) {
        let now = self.clock.uptime();
        let until = until.map(|until| self.clock.uptime_at(until).min(now.after(MAX_RETRY_AFTER)));
        if let Some(until) = until.filter(|until| *until > now) {
            let lane = &mut self.lanes[key];
            lane.hold.extend_by_receiver(until);
            lane.metrics.update_labels(|labels| labels.deferred_until = Some(until));
        }
    }

    /// Handles a row that is deleted, or has become invalid.
    fn remove_row(&mut self, key: SubscriptionKey) {
        let was_rowless = !self.reload.rowless.insert(key);
        self.reroute(key, was_rowless, &[]);
        self.selection.replace(key, None);
        self.close_rowless(key);
    }

    /// Closes a lane without a row. Repeated by every reload: an invalid row may be deleted by now, and a lane that could
    /// not be removed because work was under way may be idle.
    fn close_rowless(&mut self, key: SubscriptionKey) {
        if !self.reload.is_rowless(key) {
            return;
        }
        // A lane that was removed since then needs no further reload.
        let Some(lane) = self.lanes.get(&key) else {
            self.reload.rowless.remove(&key);
            return;
        };
        if self.reload.is_row_invalid(&lane.stored.subscription.uuid) {
            if lane.state != LaneState::Disabled {
                self.set_state(key, LaneState::Disabled);
            }
        } else {
            self.set_state(key, LaneState::Deleted);
            self.discard(key);
        }
    }

    /// Changes a lane according to its row. Results of attempts under way still count unless URL, secret or activity have
    /// changed.
    fn change_lane(&mut self, key: SubscriptionKey, stored: StoredSubscription) {
        self.reload.last_version += 1;
        let state = LaneState::of_row(&stored, self.first_probe());
        let lane = &mut self.lanes[key];
        let (old, new) = (&lane.stored.subscription, &stored.subscription);
        let is_other_receiver = old.url != new.url || old.secret != new.secret;
        let is_reset = is_other_receiver || !lane.state.is_like(state);
        let is_lifted = lane.stored.deferrals_lifted != stored.deferrals_lifted;
        if is_reset {
            let health = Health::new(new.consecutive_failures, self.options.circuit_threshold);
            lane.reset_receiver(self.reload.last_version, health);
        }
        let is_toggled = lane.is_paused() != stored.is_paused();
        lane.replace_row(stored, self.selection.render_context());
        if is_reset || is_lifted {
            self.lift_deferral(key);
        }
        match (is_reset, is_toggled) {
            (true, _) => self.set_state(key, state),
            (false, true) => self.pause_or_resume(key),
            (false, false) => self.pump(key),
        }
    }

    /// Applies the beginning or the end of a pause or a hold. The receiver is the same, so earlier observations of it still count.
    fn pause_or_resume(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        let change = match &lane.stored {
            stored if stored.hold.is_some() => "held; its deliveries wait",
            stored if stored.paused => "paused; its deliveries wait",
            _ => "resumed",
        };
        tracing::info!(subscription = lane.name(), "{change}");
        lane.backlog.rescan();
        self.resume_or_spill(key);
    }

    /// Returns the time of the first probe of a lane that is opened as tripped: soon, but not the same for all lanes.
    fn first_probe(&self) -> BootMicros {
        let spread = clock::jitter().abs();
        self.clock.uptime().after(self.options.probe_delay.0.mul_f64(spread))
    }

    /// Sets a lane's state, and sends or spills its deliveries accordingly.
    fn set_state(&mut self, key: SubscriptionKey, state: LaneState) {
        let lane = &mut self.lanes[key];
        let was_open = lane.is_open();
        lane.set_state(state);
        if state == LaneState::Open {
            lane.reopen();
        }
        if lane.is_open() && !was_open {
            tracing::info!(subscription = lane.name(), "enabled; sending the parked deliveries");
        }
        self.resume_or_spill(key);
    }

    /// Sends the waiting deliveries if the lane is open. Otherwise moves the deliveries in memory to the queue.
    fn resume_or_spill(&mut self, key: SubscriptionKey) {
        let lane = &self.lanes[key];
        let state = lane.state;
        if lane.is_open() {
            self.retention.unpark(key);
            self.pump(key);
            self.schedule(key, BootMicros(0));
        } else {
            self.spill_to_queue(key);
        }
        if let LaneState::Tripped { next_at, .. } = state {
            self.schedule(key, next_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_store::catalog::CircuitChange;
    use tokio::task::LocalSet;

    use super::super::super::tests::started;

    /// The reload skips the restored row, because the worker's own change of the circuit breaker is not written yet.
    #[tokio::test]
    async fn restored_row_keeps_its_lane_and_deliveries() {
        let dir = tempfile::tempdir().unwrap();
        let restore = async {
            let mut dispatcher = started(dir.path()).await;
            dispatcher.reload.number = 1;
            let lane = dispatcher.lanes.values_mut().next().unwrap();
            let (key, row) = (lane.key, lane.stored.clone());
            lane.pending_health.record_circuit(CircuitChange::Trip);
            dispatcher.remove_row(key);
            let jobs = dispatcher.writes.jobs;
            dispatcher.apply_row(key, row.clone());
            dispatcher.on_discarded(key, true);
            assert_eq!(dispatcher.writes.jobs, jobs, "later deliveries are not discarded");
            dispatcher.on_discarded(key, false);
            dispatcher.lanes[key].pending_health.record_circuit(CircuitChange::None);
            dispatcher.apply_row(key, row);
            assert!(dispatcher.lanes[key].is_open());
        };
        LocalSet::new().run_until(restore).await;
    }
}
