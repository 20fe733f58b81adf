//! Reloads the subscriptions as a diff: the changed rows are found on a thread for blocking jobs, and only they are
//! applied.
//!
//! - `read`: finds the changed rows, and their keys in the queue;
//! - `apply`: applies those rows to their lanes and the routing table, a few per turn of the loop.

mod apply;
mod read;
mod severities;

use std::sync::{Arc, Mutex};

use decnet_store::catalog::{Catalog, RowProblem};
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use self::apply::PendingRows;
use self::read::{LastLoad, Loaded, load};
use self::severities::AppliedSeverities;
use super::{Dispatcher, Done, Error, Inputs};
use crate::intake::BusCover;
use crate::lane::Lane;

/// The catalog, used by one blocking job at a time. A poisoned lock is harmless: SQLite rolls back the transaction of a job
/// that panicked.
pub(crate) type SharedCatalog = Arc<Mutex<Catalog>>;

/// The state of the running reload, and the data that the next reload needs.
#[derive(Debug, Default)]
pub(super) struct ReloadProgress {
    /// Whether the first load is complete.
    is_loaded: bool,
    is_running: bool,
    started_at: Option<Instant>,
    /// Whether another reload was requested since the running reload started.
    is_requested: bool,
    /// The number of reloads that have started, excluding the first load.
    pub(super) number: u64,
    /// The result of the last read. Empty while a job reads, and after a failure.
    last_load: LastLoad,
    /// The uuids of rows that the next reload applies even if they are unchanged, because they were skipped or the worker
    /// has written to them.
    reread: Vec<Box<str>>,
    /// The content of the table of severities that was applied.
    severities: AppliedSeverities,
    /// The rows that are read and not yet applied.
    pending: PendingRows,
    /// Lanes whose row is deleted or invalid. Nothing is routed to them.
    rowless: FxHashSet<SubscriptionKey>,
    /// The problems of rows that were logged, so that each problem is logged once.
    logged_problems: FxHashSet<String>,
    /// The uuids of invalid rows. Their deliveries are kept.
    invalid: FxHashSet<String>,
    /// Whether a row was skipped because the worker's own change of its circuit was not written yet.
    pub(super) has_skipped: bool,
    /// Whether the running reload has skipped a row, so that another reload follows.
    is_partial: bool,
    /// The queue's count of changes when the running reload started.
    changes: i64,
    /// Whether the last reload failed, which was logged.
    has_failed: bool,
    /// The last version that was given to a lane.
    last_version: u64,
    /// Whether the backlogs are read again after this reload, because one may be that of a new subscription.
    pub(super) finds_backlogs: bool,
}

/// The result of reading the subscriptions.
pub(super) struct Reloaded {
    /// The queue's count of changes before the catalog was read.
    changes: i64,
    loaded: Result<(LastLoad, Loaded), Error>,
}

impl ReloadProgress {
    /// Makes the next reload apply the lane's row even if it is unchanged.
    pub(super) fn reread(&mut self, lane: &Lane) {
        self.reread.push(lane.stored.subscription.uuid.clone());
    }

    /// Returns whether the catalog was read without an error, and no reload is running.
    pub(super) fn is_current(&self) -> bool {
        !self.is_running && !self.has_failed
    }

    /// Returns whether there is an invalid row with this uuid.
    pub(super) fn is_row_invalid(&self, uuid: &str) -> bool {
        self.invalid.contains(uuid)
    }

    /// Returns whether the row of a lane is deleted or invalid.
    pub(super) fn is_rowless(&self, key: SubscriptionKey) -> bool {
        self.rowless.contains(&key)
    }

    /// Logs the problems of rows, each problem once until it is solved.
    fn log_problems(&mut self, problems: &[RowProblem]) {
        let format = |row: &RowProblem| format!("{} ({}): {}", row.name, row.uuid, row.problem);
        let current: FxHashSet<String> = problems.iter().map(format).collect();
        for problem in current.difference(&self.logged_problems) {
            tracing::warn!(problem, "the row of a subscription has a problem; correct it");
        }
        self.logged_problems = current;
    }

    /// Logs that the subscriptions cannot be read, once until they can be read again.
    fn log_failure(&mut self, error: &Error) {
        if std::mem::replace(&mut self.has_failed, true) {
            tracing::debug!(%error, "the subscriptions still cannot be read");
        } else {
            tracing::warn!(%error, "cannot read the subscriptions; using the subscriptions loaded before, and retrying");
        }
    }
}

impl Dispatcher {
    /// Loads the subscriptions for the first time. The worker does not start without them.
    pub(super) async fn load_first(&mut self) -> Result<(), Error> {
        let Reloaded { changes, loaded } = self.read().await;
        self.start_applying(loaded?);
        self.freshness.finish_reload(changes);
        while self.apply_some() {}
        self.routing.update_cover();
        self.count_reload();
        self.reload.is_loaded = true;
        Ok(())
    }

    /// Starts a reload. All requests that arrive while a reload is running are served by one further reload.
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

    /// Starts a reload for a change that a running reload may include already. If it does not, another reload follows it.
    pub(super) fn reload_unless_running(&mut self) {
        if !self.reload.is_running {
            self.reload();
        }
    }

    fn read(&mut self) -> impl Future<Output = Reloaded> + 'static {
        self.reload.started_at = Some(Instant::now());
        let last_load = std::mem::take(&mut self.reload.last_load);
        let reread = std::mem::take(&mut self.reload.reread);
        load(
            self.queue.clone(),
            Arc::clone(&self.catalog),
            last_load,
            reread,
            self.options.severity_file.clone(),
        )
    }

    pub(super) fn on_reloaded(&mut self, Reloaded { changes, loaded }: Reloaded, inputs: Option<&Inputs>) {
        self.reload.changes = changes;
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

    /// Applies some of the rows. The loop does other work before the next rows.
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
            self.stats.times.reload.observe_time(started_at.elapsed());
        }
    }

    /// Admits the events that were held for this reload, and starts the next one if it was requested.
    fn finish_reload(&mut self, inputs: Option<&Inputs>) {
        self.reload.is_running = false;
        // A skipped row is applied once the worker's own change is written. If writing it fails, the reload does not wait for it.
        if std::mem::take(&mut self.reload.is_partial) && !self.health.has_failed {
            self.write_health();
        } else {
            self.freshness.finish_reload(self.reload.changes);
        }
        if let Some(inputs) = inputs {
            self.publish_cover(inputs);
        }
        self.admit_held();
        let is_decided = self.reload.is_current() && !self.is_stopping;
        if is_decided && std::mem::take(&mut self.reload.finds_backlogs) {
            self.find_backlogs();
        }
        let is_requested = std::mem::take(&mut self.reload.is_requested) && !self.is_stopping;
        if is_requested || (self.freshness.is_holding() && !self.health.is_writing) {
            self.reload();
        }
    }

    /// Publishes the patterns to which the intake is to subscribe, and the changes that these include.
    pub(super) fn publish_cover(&self, inputs: &Inputs) {
        let cover = BusCover { patterns: self.routing.cover.clone(), applied: self.freshness.applied };
        inputs.cover.send_if_modified(|published| {
            let is_new = published.as_ref() != Some(&cover);
            if is_new {
                *published = Some(cover);
            }
            is_new
        });
    }
}

pub(super) async fn blocking<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(job)
        .await
        .expect("the runtime outlives the dispatcher, and the job does not panic")
}

#[cfg(test)]
mod tests {
    use decnet_store::queue::SubscriptionBacklog;
    use tokio::task::LocalSet;

    use super::super::tests::started;
    use super::*;

    #[tokio::test]
    async fn backlog_of_a_new_subscription_is_not_discarded() {
        let dir = tempfile::tempdir().unwrap();
        let find = async {
            let mut dispatcher = started(dir.path()).await;
            let (sub, uuid) = (SubscriptionKey(99), "new".into());
            let backlogs = [SubscriptionBacklog { sub, uuid, queued: true, next_due: None }];
            let jobs = dispatcher.writes.jobs;
            dispatcher.on_backlogs(&backlogs, 1);
            assert_eq!(dispatcher.writes.jobs, jobs, "the worker lacks a change");
            assert!(dispatcher.reload.is_running, "it reads the subscriptions");
            dispatcher.on_backlogs(&backlogs, 0);
            assert_eq!(dispatcher.writes.jobs, jobs, "a reload is running");
            dispatcher.reload.changes = 1;
            dispatcher.finish_reload(None);
            assert_eq!(dispatcher.writes.jobs, jobs + 1, "the backlogs are read again");
            dispatcher.on_backlogs(&backlogs, 1);
            assert_eq!(dispatcher.writes.jobs, jobs + 2, "the subscription was deleted");
        };
        LocalSet::new().run_until(find).await;
    }
}
