//! The subscriptions' health goes to their rows in batches, so that it costs nothing.

use std::sync::Arc;

use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{self, Change, HealthUpdate, LastFailure};
use decnet_store::queue::SubscriptionKey;
use tokio::time::{Instant, timeout_at};

use super::reload::{SharedCatalog, blocking, lock};
use super::{Dispatcher, Done};
use crate::lane::Lane;
use crate::record::{Circuit, Learnt};

/// Of which lane, at which version of its row, what.
type Written = (SubscriptionKey, u64, Learnt);

/// What became of a batch of records.
pub(super) struct Recorded {
    batch: Vec<Written>,
    result: Result<Vec<catalog::Recorded>, catalog::Error>,
}

impl Dispatcher {
    pub(super) fn on_record_tick(&mut self) {
        self.stats.pulse.beat();
        self.check_clock();
        self.stats.held.set(self.memory.held() as u64);
        self.stats.in_flight.set(self.slots.taken() as u64);
        self.end_overdue_hold();
        self.watch();
        self.tell_kept_back();
        self.ask_changed_elsewhere();
        self.record();
    }

    /// Writes what the lanes have learnt, unless a write is under way.
    pub(super) fn record(&mut self) {
        if self.recording {
            return;
        }
        let (batch, updates) = self.take_records();
        if batch.is_empty() {
            return;
        }
        self.recording = true;
        let (catalog, inbox, now) = (Arc::clone(&self.catalog), self.inbox.clone(), self.clock.wall());
        tokio::task::spawn_local(async move {
            let result = blocking(move || record(&catalog, &updates, now)).await;
            inbox.put(Done::Recorded(Recorded { batch, result }));
        });
    }

    fn take_records(&mut self) -> (Vec<Written>, Vec<HealthUpdate>) {
        let (mut batch, mut updates) = (Vec::new(), Vec::new());
        for key in std::mem::take(&mut self.learnt) {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let Some(learnt) = lane.record.take() else { continue };
            let is_circuit = learnt.circuit.is_some();
            updates.push(update(lane, &learnt));
            batch.push((key, lane.version, learnt));
            // Should somebody put the row back as it was, that is a change to what we have made of it.
            if is_circuit {
                self.read_again(key);
            }
        }
        (batch, updates)
    }

    pub(super) fn recorded(&mut self, Recorded { batch, result }: Recorded) {
        self.recording = false;
        let mut reread = false;
        match result {
            Ok(outcomes) => {
                if std::mem::take(&mut self.record_failed) {
                    tracing::info!("the subscriptions' health can be written again");
                }
                reread = std::mem::take(&mut self.reload.passed_over);
                for ((key, _, learnt), outcome) in batch.into_iter().zip(outcomes) {
                    let stale = outcome == catalog::Recorded::Stale;
                    if stale {
                        reread = true;
                        self.read_again(key);
                    }
                    if let Some(lane) = self.lanes.get_mut(&key) {
                        lane.record.written(self.reload.number);
                        if let Some(circuit) = learnt.circuit.filter(|_| !stale) {
                            lane.row = Arc::new(lane.row.with_activity(circuit.activity()));
                        }
                    }
                }
            }
            Err(error) => self.put_back(batch, &error),
        }
        if (reread && !self.stopping) || self.freshness.holds() {
            self.reload();
        }
    }

    fn put_back(&mut self, batch: Vec<Written>, error: &catalog::Error) {
        if !std::mem::replace(&mut self.record_failed, true) {
            tracing::warn!(%error, "cannot write the subscriptions' health; trying on until it can be");
        }
        for (key, version, learnt) in batch {
            if let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.version == version) {
                lane.record.put_back(learnt);
                if lane.record.enlist() {
                    self.learnt.push(key);
                }
            }
        }
    }

    /// The last write before the end; a failure is said and forgotten, since the rows are only a record. A catalog that
    /// another program holds is not waited for beyond the deadline.
    pub(super) async fn flush_records(&mut self, deadline: Instant) {
        let (_, updates) = self.take_records();
        let (catalog, now) = (Arc::clone(&self.catalog), self.clock.wall());
        let recording = blocking(move || record(&catalog, &updates, now).map(drop));
        let why = match timeout_at(deadline, recording).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the catalog is in use".to_owned(),
        };
        tracing::warn!(error = why, "the last results may be missing in the subscriptions' rows");
    }
}

/// Writes to the file that the catalog's path leads to now.
fn record(
    catalog: &SharedCatalog,
    updates: &[HealthUpdate],
    now: UnixMicros,
) -> Result<Vec<catalog::Recorded>, catalog::Error> {
    let mut catalog = lock(catalog);
    catalog.follow()?;
    catalog.record(updates, now)
}

/// The write that a lane's row needs.
fn update(lane: &Lane, learnt: &Learnt) -> HealthUpdate {
    let failure = |at| LastFailure { at, error: learnt.error.clone().unwrap_or_default() };
    HealthUpdate {
        version: Arc::clone(&lane.row),
        last_success_at: learnt.succeeded_at,
        failures: learnt.failures,
        last_failure: learnt.failed_at.map(failure),
        deferral: learnt.deferral,
        change: learnt.circuit.map_or(Change::None, Circuit::change),
    }
}

impl Circuit {
    /// How the row is told.
    fn change(self) -> Change {
        match self {
            Self::Tripped => Change::Trip,
            Self::Gone => Change::Gone,
            Self::Reopened => Change::Reopen,
        }
    }

    /// What the row says then.
    fn activity(self) -> Activity {
        match self {
            Self::Tripped | Self::Gone => Activity::Tripped,
            Self::Reopened => Activity::Active,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::super::tests::started;
    use super::*;

    #[tokio::test]
    async fn a_catalog_in_use_does_not_hold_up_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let catalog = Arc::clone(&dispatcher.catalog);
        let (taken, is_taken) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let user = std::thread::spawn(move || {
            let _in_use = lock(&catalog);
            taken.send(()).unwrap();
            released.recv()
        });
        is_taken.recv().unwrap();
        dispatcher.flush_records(Instant::now()).await;
        drop(release);
        assert!(user.join().unwrap().is_err(), "it had the catalog until then");
    }
}
