//! Reload as a diff: what differs in the catalog is found off the loop; on it, only what differs is touched.
//!
//! - `read`: which rows differ, and their keys in the queue;
//! - `apply`: those rows to their lanes and the routing table, a few at a time.

mod apply;
mod read;

use std::sync::{Arc, Mutex, PoisonError};

use decnet_core::limits::MAX_COVER_PATTERNS;
use decnet_store::catalog::{Catalog, RowProblem};
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use self::apply::Applying;
use self::read::{Known, Loaded, load};
use super::{Dispatcher, Done, Error, Inputs};
use crate::intake::Wanted;

/// The catalog, used by one blocking job at a time.
pub(crate) type SharedCatalog = Arc<Mutex<Catalog>>;

/// Reloads under way and asked for.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_started: bool,
    running: bool,
    begun_at: Option<Instant>,
    again: bool,
    /// Reloads begun so far, without the first load.
    pub(super) number: u64,
    /// What was read so far; away while it is read again.
    known: Known,
    /// Rows to read again whether they differ or not: what they say was not carried out, or we wrote to them.
    unsettled: Vec<Box<str>>,
    /// What was read and is not yet carried out.
    applying: Applying,
    /// Lanes whose row is gone or cannot be used. Nothing is routed to them.
    rowless: FxHashSet<SubscriptionKey>,
    /// Rows complained of, so that each problem is said once.
    complained: FxHashSet<String>,
    /// Rows that are there and cannot be used: what waits for them waits on.
    bad: FxHashSet<String>,
    /// A row was left as it is since our own verdict on it was not written yet.
    pub(super) passed_over: bool,
    /// The reload that is applied has left a row as it is; another one follows.
    is_partial: bool,
    /// The queue's count of changes when the reload that is applied began.
    changes: i64,
    failed_before: bool,
    /// The patterns are others than the cover was made of.
    rerouted: bool,
}

/// What a reload came to.
pub(super) struct Reloaded {
    known: Known,
    /// The queue's count of changes before the catalog was read.
    changes: i64,
    loaded: Result<Loaded, Error>,
}

impl Dispatcher {
    /// The first load; the worker does not start without it.
    pub(super) async fn load_first(&mut self) -> Result<(), Error> {
        let Reloaded { known, changes, loaded } = self.read().await;
        self.reload.known = known;
        self.begin_to_apply(loaded?);
        self.freshness.end(changes);
        while self.apply_some() {}
        self.renew_cover();
        self.count_reload();
        self.reload.is_started = true;
        Ok(())
    }

    /// Reads the subscriptions again; requests that come while they are read are served together, after it.
    pub(super) fn reload(&mut self) {
        if self.reload.running {
            self.reload.again = true;
            return;
        }
        self.reload.running = true;
        self.freshness.begin();
        self.reload.number += 1;
        let (read, inbox) = (self.read(), self.inbox.clone());
        tokio::task::spawn_local(async move { inbox.put(Done::Reloaded(read.await)) });
    }

    /// Reads the subscriptions again for something that the running reload may cover; else another follows it.
    pub(super) fn reload_unless_running(&mut self) {
        if !self.reload.running {
            self.reload();
        }
    }

    fn read(&mut self) -> impl Future<Output = Reloaded> + 'static {
        self.reload.begun_at = Some(Instant::now());
        let (known, unsettled) =
            (std::mem::take(&mut self.reload.known), std::mem::take(&mut self.reload.unsettled));
        load(self.queue.clone(), Arc::clone(&self.catalog), known, unsettled)
    }

    pub(super) fn reloaded(
        &mut self,
        Reloaded { known, changes, loaded }: Reloaded,
        inputs: Option<&Inputs>,
    ) {
        (self.reload.known, self.reload.changes) = (known, changes);
        match loaded {
            Ok(loaded) => {
                self.reload.failed_before = false;
                self.begin_to_apply(loaded);
                self.go_on_applying(inputs);
            }
            Err(error) => {
                self.stats.reload_failures.add(1);
                self.cannot_read(&error);
                self.end_reload(inputs);
            }
        }
    }

    /// Carries out some of what was read. What else the loop has to do is done before the next piece.
    pub(super) fn go_on_applying(&mut self, inputs: Option<&Inputs>) {
        if self.apply_some() {
            return self.inbox.put(Done::ReloadGoesOn);
        }
        self.renew_cover();
        self.count_reload();
        self.end_reload(inputs);
    }

    fn count_reload(&mut self) {
        self.stats.reloads.add(1);
        if let Some(begun_at) = self.reload.begun_at.take() {
            self.stats.reload_time.observe_time(begun_at.elapsed());
        }
    }

    /// What was held for this reload goes; if there is more to be read, the next one begins.
    fn end_reload(&mut self, inputs: Option<&Inputs>) {
        self.reload.running = false;
        // A row that cannot be written is not waited for.
        if std::mem::take(&mut self.reload.is_partial) && !self.record_failed {
            self.record();
        } else {
            self.freshness.end(self.reload.changes);
        }
        if let Some(inputs) = inputs {
            self.publish_cover(inputs);
        }
        self.admit_held();
        let again = std::mem::take(&mut self.reload.again) && !self.stopping;
        if again || (self.freshness.holds() && !self.recording) {
            self.reload();
        }
    }

    /// The next reload reads this row whether it differs or not.
    pub(super) fn read_again(&mut self, key: SubscriptionKey) {
        if let Some(lane) = self.lanes.get(&key) {
            self.reload.unsettled.push(lane.stored.subscription.uuid.clone());
        }
    }

    /// Tells the intake what to subscribe to, and which changes that includes.
    pub(super) fn publish_cover(&self, inputs: &Inputs) {
        let wanted = Wanted { cover: self.cover.clone(), applied: self.freshness.applied };
        inputs.cover.send_if_modified(|published| {
            let is_new = published.as_ref() != Some(&wanted);
            if is_new {
                *published = Some(wanted);
            }
            is_new
        });
    }

    fn renew_cover(&mut self) {
        if std::mem::take(&mut self.reload.rerouted) {
            self.cover = self.trie.cover(MAX_COVER_PATTERNS);
        }
    }

    /// Said once, until it works again.
    fn cannot_read(&mut self, error: &Error) {
        if std::mem::replace(&mut self.reload.failed_before, true) {
            tracing::debug!(%error, "the subscriptions are still unreadable");
        } else {
            tracing::warn!(%error, "cannot read the subscriptions; going on with those already known");
        }
    }

    /// Says what is wrong with rows, once for each, and forgets what has been mended.
    fn complain(&mut self, problems: &[RowProblem]) {
        let said = |problem: &RowProblem| format!("{} ({}): {}", problem.name, problem.uuid, problem.what);
        let now: FxHashSet<String> = problems.iter().map(said).collect();
        for problem in now.difference(&self.reload.complained) {
            tracing::warn!(problem, "a subscription's row is not as it should be; the others go on");
        }
        self.reload.complained = now;
    }
}

pub(super) fn lock(catalog: &SharedCatalog) -> std::sync::MutexGuard<'_, Catalog> {
    // A panic while the lock was held cannot leave a half-done transaction: SQLite rolls it back.
    catalog.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("the runtime outlives the dispatcher, and the job does not panic")
}
