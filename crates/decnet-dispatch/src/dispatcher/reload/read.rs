//! Finds the changed rows of the catalog and their keys in the queue. Nothing here blocks the loop.

use std::path::Path;
use std::sync::Arc;

use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Changes, RowDigests, RowProblem, StoredSubscription};
use decnet_store::queue::{Queue, SubscriptionKey};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::Error;
use super::{Reloaded, SharedCatalog, blocking, severities};
use decnet_runtime::sync::lock;
use decnet_sender::Target;

/// The state of the catalog as read by the last reload.
#[derive(Debug, Default)]
pub(super) struct LastLoad {
    digests: RowDigests,
    /// The keys by uuid, with the names that the queue knows, so that only new rows are registered.
    keys: FxHashMap<Arc<str>, (Box<str>, SubscriptionKey)>,
    /// Whether the removal of expired secrets failed, which was logged.
    has_removal_failed: bool,
}

/// The changes of the catalog.
pub(super) struct Loaded {
    pub(super) changed: Vec<(SubscriptionKey, StoredSubscription)>,
    /// Subscriptions whose rows are deleted, or have become invalid.
    pub(super) missing: Vec<SubscriptionKey>,
    pub(super) problems: Vec<RowProblem>,
    /// The uuids of all invalid rows.
    pub(super) invalid: FxHashSet<String>,
    pub(super) usable: usize,
    /// The content of the table of severities, if it is in a file.
    pub(super) severities: Option<Result<String, String>>,
}

/// Reads the changed rows and the rows in `reread`. After a failure the next reload reports all rows as changed.
///
/// All rows may have changed, so the work per row is done on a thread for blocking jobs.
pub(super) async fn load(
    queue: Queue,
    catalog: SharedCatalog,
    last_load: LastLoad,
    reread: Vec<Box<str>>,
    severity_file: Option<Arc<Path>>,
) -> Reloaded {
    // Counted before the catalog is read, so that the rows include at least these changes.
    let changes = match queue.catalog_changes().await {
        Ok(changes) => changes,
        Err(error) => return Reloaded { changes: 0, loaded: Err(error.into()) },
    };
    let now = queue.clock().trusted_now();
    let read = move || {
        let mut read = read(&catalog, last_load, &reread, now)?;
        read.severities = severity_file.as_deref().map(severities::read);
        Ok(read)
    };
    let loaded = match blocking(read).await {
        Ok(read) => assign_keys(read, &queue).await,
        Err(error) => Err(error),
    };
    Reloaded { changes, loaded }
}

/// The changed rows, before the queue has assigned keys to new subscriptions.
struct Read {
    last_load: LastLoad,
    changes: Changes,
    /// The uuids and names that the queue does not know yet.
    unregistered: Vec<(Box<str>, Box<str>)>,
    severities: Option<Result<String, String>>,
}

/// Reads the catalog. `now` is `None` while the clock is in doubt, in which case no secret is removed.
fn read(
    catalog: &SharedCatalog,
    mut last_load: LastLoad,
    reread: &[Box<str>],
    now: Option<UnixMicros>,
) -> Result<Read, Error> {
    reread.iter().for_each(|uuid| last_load.digests.invalidate(uuid));
    let mut catalog = lock(catalog);
    if catalog.reopen_if_replaced()? {
        tracing::info!(path = %catalog.path().display(), "the catalog's file was replaced; reading the new one");
    }
    let removed = now.map_or(Ok(0), |now| catalog.remove_expired_secrets(now));
    last_load.log_removal(removed.err().as_ref());
    let changes = catalog.changes(&mut last_load.digests)?;
    drop(catalog);
    let changes = reject_unsendable(changes, &mut last_load.digests);
    let unregistered = last_load.unregistered(&changes.subscriptions);
    Ok(Read { last_load, changes, unregistered, severities: None })
}

/// Moves rows without a valid target to the problems, even if they are unchanged.
fn reject_unsendable(mut changes: Changes, digests: &mut RowDigests) -> Changes {
    let Changes { subscriptions, missing, problems, usable } = &mut changes;
    subscriptions.retain(|stored| {
        let problem = target_problem(stored);
        let is_valid = problem.is_none();
        if !is_valid {
            digests.invalidate(&stored.subscription.uuid);
            missing.push((*stored.subscription.uuid).into());
            *usable -= 1;
        }
        problems.extend(problem);
        is_valid
    });
    changes
}

/// Returns the reason why no request can be made for the subscription, if there is one.
fn target_problem(stored: &StoredSubscription) -> Option<RowProblem> {
    let subscription = &stored.subscription;
    let target = Target::for_subscription(subscription, &stored.settings, &stored.old_secrets, None);
    target.err().map(|error| RowProblem {
        uuid: subscription.uuid.to_string(),
        name: subscription.name.to_string(),
        problem: error.to_string(),
    })
}

/// Registers new rows in the queue and finds the keys of all changed rows.
async fn assign_keys(read: Read, queue: &Queue) -> Result<(LastLoad, Loaded), Error> {
    let Read { mut last_load, changes, unregistered, severities } = read;
    let keys =
        if unregistered.is_empty() { Vec::new() } else { queue.register(unregistered.clone()).await? };
    let finish = move || {
        let rows = unregistered.into_iter().zip(keys);
        last_load.keys.extend(rows.map(|((uuid, name), key)| (uuid.into(), (name, key))));
        let loaded = Loaded { severities, ..last_load.loaded(changes) };
        (last_load, loaded)
    };
    Ok(blocking(finish).await)
}

impl LastLoad {
    /// Logs a failure to remove expired secrets, once until it succeeds.
    fn log_removal(&mut self, error: Option<&decnet_store::catalog::Error>) {
        let has_failed = std::mem::replace(&mut self.has_removal_failed, error.is_some());
        if let Some(error) = error.filter(|_| !has_failed) {
            tracing::warn!(%error, "cannot remove expired secrets from the catalog; they sign no requests; retrying");
        }
    }

    fn unregistered(&self, changed: &[StoredSubscription]) -> Vec<(Box<str>, Box<str>)> {
        let rows = changed.iter().map(|stored| (&stored.subscription.uuid, &stored.subscription.name));
        let is_new = |uuid: &str, name: &str| self.keys.get(uuid).is_none_or(|(known, _)| **known != *name);
        let new = rows.filter(|(uuid, name)| is_new(uuid, name));
        new.map(|(uuid, name)| (uuid.clone(), name.clone())).collect()
    }

    fn loaded(&mut self, changes: Changes) -> Loaded {
        let Changes { subscriptions, missing, mut problems, usable } = changes;
        let invalid = problems.iter().map(|problem| problem.uuid.clone()).collect();
        problems.extend(subscriptions.iter().flat_map(StoredSubscription::row_warnings));
        let missing = missing.iter().filter_map(|uuid| self.keys.remove(uuid)).map(|(_, key)| key).collect();
        let key =
            |stored: &StoredSubscription| self.keys.get(&*stored.subscription.uuid).map(|(_, key)| *key);
        let changed = subscriptions.into_iter().filter_map(|stored| Some((key(&stored)?, stored))).collect();
        Loaded { changed, missing, problems, invalid, usable, severities: None }
    }
}
