//! Writes the subscriptions' health to their rows, in batches.

use std::sync::Arc;

use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{self, CircuitChange, HealthUpdate, RecordOutcome};
use decnet_store::queue::SubscriptionKey;
use tokio::time::{Instant, timeout_at};

use super::reload::{SharedCatalog, blocking};
use super::{Dispatcher, Done};
use crate::lane::Lane;
use crate::pending_health::HealthChanges;
use decnet_runtime::sync::lock;

/// The state of the writes.
#[derive(Debug, Default)]
pub(super) struct HealthWriteback {
    /// The lanes with changes for the next write, without duplicates.
    pending: Vec<SubscriptionKey>,
    pub(super) is_writing: bool,
    /// Whether the last write failed, which was logged.
    pub(super) has_failed: bool,
}

/// The changes of a lane that are written, with its version.
pub(super) struct LaneChanges {
    key: SubscriptionKey,
    version: u64,
    changes: HealthChanges,
}

/// The result of a write: the outcome of each update.
pub(super) type Recorded = Result<Vec<RecordOutcome>, catalog::Error>;

impl HealthWriteback {
    /// Includes the lane's changes in the next write.
    pub(super) fn add(&mut self, lane: &mut Lane) {
        if lane.pending_health.mark_listed() {
            self.pending.push(lane.key);
        }
    }
}

impl Dispatcher {
    /// Writes the pending changes, unless a write is under way.
    pub(super) fn write_health(&mut self) {
        if self.health.is_writing {
            return;
        }
        let (batch, updates) = self.take_health_changes();
        if batch.is_empty() {
            return;
        }
        self.health.is_writing = true;
        let (catalog, inbox, now) = (Arc::clone(&self.catalog), self.inbox.clone(), self.clock.wall());
        tokio::task::spawn_local(async move {
            let result = blocking(move || write(&catalog, &updates, now)).await;
            inbox.put(Done::HealthWritten(batch, result));
        });
    }

    fn take_health_changes(&mut self) -> (Vec<LaneChanges>, Vec<HealthUpdate>) {
        let (mut batch, mut updates) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.health.pending) {
            // Without a lane the subscription was deleted, and there is no row to write to.
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let Some(changes) = lane.pending_health.take() else { continue };
            updates.push(update(lane, &changes));
            // Another process may restore the row as it was. The next reload must then apply it, although it looks unchanged.
            if changes.circuit != CircuitChange::None {
                self.reload.reread(lane);
            }
            batch.push(LaneChanges { key, version: lane.version, changes });
        }
        (batch, updates)
    }

    pub(super) fn on_health_written(&mut self, batch: Vec<LaneChanges>, result: Recorded) {
        self.health.is_writing = false;
        let must_reload = match result {
            Ok(outcomes) => self.on_health_recorded(batch, outcomes),
            Err(error) => {
                self.restore_health_changes(batch, &error);
                false
            }
        };
        if (must_reload && !self.is_stopping) || self.freshness.is_holding() {
            self.reload();
        }
    }

    /// Returns whether rows are to be read again, because a reload has skipped some rows or rows changed before the write.
    fn on_health_recorded(&mut self, batch: Vec<LaneChanges>, outcomes: Vec<RecordOutcome>) -> bool {
        if std::mem::take(&mut self.health.has_failed) {
            tracing::info!("subscription health is recorded again");
        }
        let mut must_reload = std::mem::take(&mut self.reload.has_skipped);
        for (LaneChanges { key, changes, .. }, outcome) in batch.into_iter().zip(outcomes) {
            let is_stale = outcome == RecordOutcome::Stale;
            must_reload |= is_stale;
            // The subscription may have been deleted during the write.
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            if is_stale {
                self.reload.reread(lane);
            }
            lane.pending_health.mark_written(self.reload.number);
            if let Some(activity) = activity_after(changes.circuit).filter(|_| !is_stale) {
                lane.row = Arc::new(lane.row.with_activity(activity));
            }
        }
        must_reload
    }

    fn restore_health_changes(&mut self, batch: Vec<LaneChanges>, error: &catalog::Error) {
        if !std::mem::replace(&mut self.health.has_failed, true) {
            tracing::warn!(%error, "failed to record subscription health; retrying");
        }
        for LaneChanges { key, version, changes } in batch {
            // Changes of a deleted subscription, or of an earlier receiver, are dropped.
            if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.version == version) {
                lane.pending_health.restore(changes);
                self.health.add(lane);
            }
        }
    }

    /// Writes the pending changes at the shutdown. A failure is logged and ignored, since the worker does not depend on
    /// these rows. The worker does not wait beyond the deadline for a catalog that is in use.
    pub(super) async fn flush_health(&mut self, deadline: Instant) {
        let (_, updates) = self.take_health_changes();
        let (catalog, now) = (Arc::clone(&self.catalog), self.clock.wall());
        let writing = blocking(move || write(&catalog, &updates, now).map(drop));
        let error = match timeout_at(deadline, writing).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the catalog is in use".to_owned(),
        };
        tracing::warn!(error, "failed to record subscription health before the shutdown");
    }
}

/// Writes to the file to which the catalog's path currently leads.
fn write(catalog: &SharedCatalog, updates: &[HealthUpdate], now: UnixMicros) -> Recorded {
    let mut catalog = lock(catalog);
    catalog.reopen_if_replaced()?;
    catalog.record(updates, now)
}

fn update(lane: &Lane, changes: &HealthChanges) -> HealthUpdate {
    HealthUpdate {
        version: Arc::clone(&lane.row),
        last_success_at: changes.succeeded_at,
        failures: changes.failures,
        last_failure: changes.last_failure.clone(),
        deferral: changes.deferral,
        change: changes.circuit,
    }
}

/// Returns the activity of the row after a change of its circuit breaker, if there was one.
fn activity_after(change: CircuitChange) -> Option<Activity> {
    match change {
        CircuitChange::None => None,
        CircuitChange::Trip | CircuitChange::Gone => Some(Activity::Tripped),
        CircuitChange::Reopen => Some(Activity::Active),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::tests::started;
    use super::*;

    #[tokio::test]
    async fn shutdown_does_not_wait_for_a_catalog_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let catalog = Arc::clone(&dispatcher.catalog);
        let (locked, is_locked) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let user = std::thread::spawn(move || {
            let _guard = lock(&catalog);
            locked.send(()).unwrap();
            released.recv()
        });
        is_locked.recv().unwrap();
        dispatcher.flush_health(Instant::now()).await;
        drop(release);
        assert!(user.join().unwrap().is_err(), "the catalog was in use until now");
    }
}
