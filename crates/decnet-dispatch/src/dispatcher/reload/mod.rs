//! Reloads the subscriptions as a diff: the changed rows are found on a thread for blocking jobs, and only they are
//! applied.
//!
//! - `read`: finds the changed rows, and their keys in the queue;
//! - `apply`: applies those rows to their lanes and the routing table, a few per turn of the loop.

mod apply;
mod read;

use std::sync::{Arc, Mutex, PoisonError};

use decnet_store::catalog::{Catalog, RowProblem};
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use self::apply::PendingRows;
use self::read::{LastLoad, Loaded, load};
use super::{Dispatcher, Done, Error, Inputs};
use crate::intake::BusCover;
use crate::lane::Lane;

/// The catalog, used by one blocking job at a time.
pub(crate) type SharedCatalog = Arc<Mutex<Catalog>>;

/// The state of the running reload, and what the next one needs.
#[derive(Debug, Default)]
pub(super) struct ReloadProgress {
    /// Whether the first load is complete.
    is_loaded: bool,
    is_running: bool,
    started_at: Option<Instant>,
    /// Whether another reload was requested since the running one started.
    is_requested: bool,
    /// The number of reloads that have started, without the first load.
    number: u64,
    /// The result of the last read. Empty while a job reads.
    last_load: LastLoad,
    /// The uuids of rows that the next reload applies even if they are unchanged, because they were skipped or the worker
    /// has written to them.
    reread: Vec<Box<str>>,
    /// The rows that are read and not yet applied.
    pending: PendingRows,
    /// Lanes whose row is deleted or invalid. Nothing is routed to them.
    rowless: FxHashSet<SubscriptionKey>,
    /// The problems of rows that were logged, so that each is logged once.
    logged_problems: FxHashSet<String>,
    /// The uuids of invalid rows. Their deliveries are kept.
    invalid: FxHashSet<String>,
    /// Whether a row was skipped because the worker's own change of its circuit was not written yet.
    has_skipped: bool,
    /// Whether the running reload has skipped a row, so that another one follows.
    is_partial: bool,
    /// The queue's count of changes when the running reload started.
    changes: i64,
    /// Whether the last reload failed, which was logged.
    has_failed: bool,
    /// The last version that was given to a lane.
    last_version: u64,
}

/// The result of reading the subscriptions.
pub(super) struct Reloaded {
    last_load: LastLoad,
    /// The queue's count of changes before the catalog was read.
    changes: i64,
    loaded: Result<Loaded, Error>,
}

impl ReloadProgress {
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Returns whether rows were skipped since the last call.
    pub(super) fn take_skipped(&mut self) -> bool {
        std::mem::take(&mut self.has_skipped)
    }

    /// Makes the next reload apply the lane's row even if it is unchanged.
    pub(super) fn reread(&mut self, lane: &Lane) {
        self.reread.push(lane.stored.subscription.uuid.clone());
    }

    /// Returns whether there is an invalid row with this uuid.
    pub(super) fn is_row_invalid(&self, uuid: &str) -> bool {
        self.invalid.contains(uuid)
    }

    /// Logs the problems of rows, each once until it is solved.
    fn log_problems(&mut self, problems: &[RowProblem]) {
        let format = |row: &RowProblem| format!("{} ({}): {}", row.name, row.uuid, row.problem);
        let current: FxHashSet<String> = problems.iter().map(format).collect();
        for problem in current.difference(&self.logged_problems) {
            tracing::warn!(problem, "the row of a subscription has a problem; correct it");
        }
        self.logged_problems = current;
    }

    /// Logs that the subscriptions cannot be read, once until they can.
    fn log_failure(&mut self, error: &Error) {
        if std::mem::replace(&mut self.has_failed, true) {
            tracing::debug!(%error, "the subscriptions still cannot be read");
        } else {
            tracing::warn!(%error, "cannot read the subscriptions; using those loaded before, and retrying");
        }
    }
}

impl Dispatcher {
    /// Loads the subscriptions for the first time. The worker does not start without them.
    pub(super) async fn load_first(&mut self) -> Result<(), Error> {
        let Reloaded { last_load, changes, loaded } = self.read().await;
        self.reload.last_load = last_load;
        self.start_applying(loaded?);
        self.freshness.finish_reload(changes);
        while self.apply_some() {}
        self.routing.update_cover();
        self.count_reload();
        self.reload.is_loaded = true;
        Ok(())
    }

    /// Starts a reload. All requests that arrive while one is running are served by one more reload.
    pub(super) fn reload(&mut self) {
        if self.reload.is_running {
            self.reload.is_requested = true;
            return;
        }
        self.reload.is_running = true;
        self.freshness.start_reload();
        self.reload.number += 1;
        let (read, inbox) = (self.read(), self.inbox.clone());
        tokio::task::spawn_local(async move { inbox.put(Done::Reloaded(read.await)) });
    }

    /// Starts a reload for a change that a running reload may include already. If it does not, another one follows it.
    pub(super) fn reload_unless_running(&mut self) {
        if !self.reload.is_running {
            self.reload();
        }
    }

    fn read(&mut self) -> impl Future<Output = Reloaded> + 'static {
        self.reload.started_at = Some(Instant::now());
        let last_load = std::mem::take(&mut self.reload.last_load);
        let reread = std::mem::take(&mut self.reload.reread);
        load(self.queue.clone(), Arc::clone(&self.catalog), last_load, reread)
    }

    pub(super) fn on_reloaded(&mut self, reloaded: Reloaded, inputs: Option<&Inputs>) {
        let Reloaded { last_load, changes, loaded } = reloaded;
        (self.reload.last_load, self.reload.changes) = (last_load, changes);
        match loaded {
            Ok(loaded) => {
                self.reload.has_failed = false;
                self.start_applying(loaded);
                self.apply_more(inputs);
            }
            Err(error) => {
                self.stats.reload_failures.add(1);
                self.reload.log_failure(&error);
                self.finish_reload(inputs);
            }
        }
    }

    /// Applies some of the rows. The loop processes other work before the next ones.
    pub(super) fn apply_more(&mut self, inputs: Option<&Inputs>) {
        if self.apply_some() {
            return self.inbox.put(Done::ApplyMore);
        }
        self.routing.update_cover();
        self.count_reload();
        self.finish_reload(inputs);
    }

    fn count_reload(&mut self) {
        self.stats.reloads.add(1);
        if let Some(started_at) = self.reload.started_at.take() {
            self.stats.reload_time.observe_time(started_at.elapsed());
        }
    }

    /// Admits the events that were held for this reload, and starts the next one if it was requested.
    fn finish_reload(&mut self, inputs: Option<&Inputs>) {
        self.reload.is_running = false;
        // A skipped row is applied once the worker's own change is written. If that fails, it is not waited for.
        if std::mem::take(&mut self.reload.is_partial) && !self.health.has_failed() {
            self.write_health();
        } else {
            self.freshness.finish_reload(self.reload.changes);
        }
        if let Some(inputs) = inputs {
            self.publish_cover(inputs);
        }
        self.admit_held();
        let is_requested = std::mem::take(&mut self.reload.is_requested) && !self.is_stopping;
        if is_requested || (self.freshness.is_holding() && !self.health.is_writing()) {
            self.reload();
        }
    }

    /// Publishes what the intake is to subscribe to, and the changes that this includes.
    pub(super) fn publish_cover(&self, inputs: &Inputs) {
        let cover = BusCover { patterns: self.routing.cover().to_vec(), applied: self.freshness.applied() };
        inputs.cover.send_if_modified(|published| {
            let is_new = published.as_ref() != Some(&cover);
            if is_new {
                *published = Some(cover);
            }
            is_new
        });
    }
}

pub(super) fn lock(catalog: &SharedCatalog) -> std::sync::MutexGuard<'_, Catalog> {
    // A poisoned lock is harmless: SQLite rolls back the transaction of a job that panicked.
    catalog.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(job)
        .await
        .expect("the runtime outlives the dispatcher, and the job does not panic")
}
