//! Which rows of the catalog differ, and what the queue calls them. None of it runs on the loop's turn.

use std::sync::Arc;

use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Changes, RowProblem, Seen, Stored};
use decnet_store::queue::{Queue, SubscriptionKey};
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::Error;
use super::{Reloaded, SharedCatalog, blocking, lock};
use crate::sender::Target;

/// What earlier reloads have read.
#[derive(Debug, Default)]
pub(super) struct Known {
    seen: Seen,
    /// The queue's keys by uuid, with the names it knows, so that it is asked only for what is new.
    keys: FxHashMap<Arc<str>, (Box<str>, SubscriptionKey)>,
    /// Secrets whose time is over could not be removed, and that was said.
    keeps_secrets: bool,
}

/// What differs in the catalog.
pub(super) struct Loaded {
    pub(super) changed: Vec<(SubscriptionKey, Stored)>,
    /// Their rows cannot be used any more, or are gone.
    pub(super) missing: Vec<SubscriptionKey>,
    pub(super) problems: Vec<RowProblem>,
    /// The uuids of all rows that cannot be used.
    pub(super) bad: FxHashSet<String>,
    pub(super) usable: usize,
}

/// Reads what differs. If that fails, nothing counts as known, so that the next reload reports all of it.
///
/// All rows may differ, so what is done with each of them is done on a thread for blocking jobs.
pub(super) async fn load(
    queue: Queue,
    catalog: SharedCatalog,
    known: Known,
    unsettled: Vec<Box<str>>,
) -> Reloaded {
    // Before the catalog is read: what is counted by now is in what will be read.
    let changes = match queue.catalog_changes().await {
        Ok(changes) => changes,
        Err(error) => return Reloaded { known: Known::default(), changes: 0, loaded: Err(error.into()) },
    };
    let now = queue.clock().trusted_now();
    let loaded = match blocking(move || read(&catalog, known, &unsettled, now)).await {
        Ok(read) => name(read, &queue).await,
        Err(error) => Err(error),
    };
    match loaded {
        Ok((known, loaded)) => Reloaded { known, changes, loaded: Ok(loaded) },
        Err(error) => Reloaded { known: Known::default(), changes, loaded: Err(error) },
    }
}

/// What differs, not yet named.
struct Read {
    known: Known,
    changes: Changes,
    /// Uuids and names that the queue does not know yet.
    new: Vec<(Box<str>, Box<str>)>,
}

/// Secrets are forgotten for good, so none is while the clock is in doubt and there is no `now`.
fn read(
    catalog: &SharedCatalog,
    mut known: Known,
    unsettled: &[Box<str>],
    now: Option<UnixMicros>,
) -> Result<Read, Error> {
    unsettled.iter().for_each(|uuid| known.seen.forget(uuid));
    let mut catalog = lock(catalog);
    if catalog.follow()? {
        tracing::info!(path = %catalog.path().display(), "the catalog's file was replaced; reading the new one");
    }
    let forgotten = now.map_or(Ok(0), |now| catalog.forget_expired_secrets(now));
    known.complain_once(forgotten.err().as_ref());
    let changes = catalog.changes(&mut known.seen)?;
    drop(catalog);
    let changes = sort_out(changes, &mut known.seen);
    let new = known.unnamed(&changes.changed);
    Ok(Read { known, changes, new })
}

/// Counts rows that cannot be sent to as such, each time anew.
fn sort_out(mut changes: Changes, seen: &mut Seen) -> Changes {
    let Changes { changed, missing, problems, usable } = &mut changes;
    changed.retain(|stored| {
        let can_be_sent_to = can_be_sent_to(stored, problems);
        if !can_be_sent_to {
            seen.forget(&stored.subscription.uuid);
            missing.push((*stored.subscription.uuid).into());
            *usable -= 1;
        }
        can_be_sent_to
    });
    changes
}

/// Can it? If not, notes why.
fn can_be_sent_to(stored: &Stored, problems: &mut Vec<RowProblem>) -> bool {
    let subscription = &stored.subscription;
    let Err(error) = Target::of(stored) else { return true };
    problems.push(RowProblem {
        uuid: subscription.uuid.to_string(),
        name: subscription.name.to_string(),
        what: error.to_string(),
    });
    false
}

/// Finds the keys of all rows that differ.
async fn name(Read { mut known, changes, new }: Read, queue: &Queue) -> Result<(Known, Loaded), Error> {
    let keys = if new.is_empty() { Vec::new() } else { queue.register(new.clone()).await? };
    let finish = move || {
        let named = new.into_iter().zip(keys).map(|((uuid, name), key)| (uuid.into(), (name, key)));
        known.keys.extend(named);
        let loaded = known.loaded(changes);
        (known, loaded)
    };
    Ok(blocking(finish).await)
}

impl Known {
    /// Secrets whose time is over sign nothing, so it does no harm that they are still in the file.
    fn complain_once(&mut self, error: Option<&decnet_store::catalog::Error>) {
        let said = std::mem::replace(&mut self.keeps_secrets, error.is_some());
        if let Some(error) = error.filter(|_| !said) {
            tracing::warn!(%error, "cannot remove secrets whose time is over; they sign nothing any more");
        }
    }

    fn unnamed(&self, changed: &[Stored]) -> Vec<(Box<str>, Box<str>)> {
        let names = changed.iter().map(|stored| (&stored.subscription.uuid, &stored.subscription.name));
        let is_new = |uuid: &str, name: &str| self.keys.get(uuid).is_none_or(|(known, _)| **known != *name);
        let new = names.filter(|(uuid, name)| is_new(uuid, name));
        new.map(|(uuid, name)| (uuid.clone(), name.clone())).collect()
    }

    fn loaded(&mut self, changes: Changes) -> Loaded {
        let Changes { changed, missing, mut problems, usable } = changes;
        let bad = problems.iter().map(|problem| problem.uuid.clone()).collect();
        problems.extend(changed.iter().flat_map(Stored::complaints));
        let missing = missing.iter().filter_map(|uuid| self.keys.remove(uuid)).map(|(_, key)| key).collect();
        let key = |stored: &Stored| self.keys.get(&*stored.subscription.uuid).map(|(_, key)| *key);
        let changed = changed.into_iter().filter_map(|stored| Some((key(&stored)?, stored))).collect();
        Loaded { changed, missing, problems, bad, usable }
    }
}
