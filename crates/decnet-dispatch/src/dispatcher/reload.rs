//! Reload as a diff: the routing table is swapped whole, and only the lanes that differ are touched.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use decnet_core::health::Health;
use decnet_core::limits::MAX_COVER_PATTERNS;
use decnet_core::subscription::{Activity, Subscription};
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, PatternTrie, minimal_cover};
use decnet_store::catalog::{Catalog, RowProblem, Snapshot, Stored};
use decnet_store::queue::{Queue, SubscriptionKey};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Dispatcher, Done, Error, Inputs};
use crate::clock;
use crate::lane::{Lane, Status};
use crate::sender::Target;

/// The catalog, used by one blocking job at a time.
pub(crate) type SharedCatalog = Arc<Mutex<Catalog>>;

/// Reloads under way and asked for.
#[derive(Debug, Default)]
pub(super) struct Progress {
    is_started: bool,
    running: bool,
    again: bool,
    /// Reloads begun so far, without the first load.
    pub(super) number: u64,
    /// Rows complained of, so that each problem is said once.
    complained: FxHashSet<String>,
    /// Rows that are there and cannot be used: what waits for them waits on.
    bad: FxHashSet<String>,
    /// A row was left as it is since our own verdict on it was not written yet.
    pub(super) passed_over: bool,
    failed_before: bool,
    keys: Keys,
}

/// The queue's keys by uuid, with the names it knows, so that a reload asks it only for what is new.
#[derive(Debug, Clone, Default)]
struct Keys(Rc<RefCell<FxHashMap<Box<str>, Known>>>);

/// A name, and its key.
type Known = (Box<str>, SubscriptionKey);

/// A snapshot with its routing table, built off the loop.
pub(super) struct Loaded {
    stored: Vec<(SubscriptionKey, Stored)>,
    problems: Vec<RowProblem>,
    bad: FxHashSet<String>,
    trie: PatternTrie,
    cover: Vec<Pattern>,
}

/// What a reload came to.
pub(super) struct Reloaded(Result<Loaded, Error>);

impl Dispatcher {
    /// The first load; the worker does not start without it.
    pub(super) async fn load_first(&mut self) -> Result<(), Error> {
        let loaded = load(self.queue.clone(), Arc::clone(&self.catalog), self.reload.keys.clone()).await?;
        self.apply(loaded);
        self.reload.is_started = true;
        Ok(())
    }

    /// Reads the subscriptions again; a request that comes while one is read is served after it.
    pub(super) fn reload(&mut self) {
        if self.reload.running {
            self.reload.again = true;
            return;
        }
        self.reload.running = true;
        self.reload.number += 1;
        let (queue, catalog, inbox) = (self.queue.clone(), Arc::clone(&self.catalog), self.inbox.clone());
        let keys = self.reload.keys.clone();
        tokio::task::spawn_local(async move {
            inbox.put(Done::Reloaded(Reloaded(load(queue, catalog, keys).await)));
        });
    }

    pub(super) fn reloaded(&mut self, Reloaded(loaded): Reloaded, inputs: Option<&Inputs>) {
        self.reload.running = false;
        match loaded {
            Ok(loaded) => {
                self.reload.failed_before = false;
                self.apply(loaded);
            }
            Err(error) if self.reload.failed_before => {
                tracing::debug!(%error, "the subscriptions are still unreadable");
            }
            Err(error) => {
                self.reload.failed_before = true;
                tracing::warn!(%error, "cannot read the subscriptions; going on with those already known");
            }
        }
        if let Some(inputs) = inputs {
            self.publish_cover(inputs);
        }
        if std::mem::take(&mut self.reload.again) {
            self.reload();
        }
    }

    /// Tells the intake what to subscribe to.
    pub(super) fn publish_cover(&self, inputs: &Inputs) {
        inputs.cover.send_if_modified(|published| {
            let changed = published.as_ref() != Some(&self.cover);
            if changed {
                *published = Some(self.cover.clone());
            }
            changed
        });
    }

    fn apply(&mut self, loaded: Loaded) {
        self.complain(&loaded.problems);
        self.reload.bad = loaded.bad;
        self.trie = loaded.trie;
        self.cover = loaded.cover;
        self.stats.subscriptions.set(loaded.stored.len() as u64);
        let kept: FxHashSet<SubscriptionKey> = loaded.stored.iter().map(|(key, _)| *key).collect();
        for (key, stored) in loaded.stored {
            self.apply_row(key, stored);
        }
        let missing: Vec<SubscriptionKey> =
            self.lanes.keys().copied().filter(|key| !kept.contains(key)).collect();
        for key in missing {
            self.miss(key);
        }
        self.stats.reloads.add(1);
    }

    fn apply_row(&mut self, key: SubscriptionKey, stored: Stored) {
        match self.lanes.get_mut(&key) {
            Some(lane) if lane.is_as(&stored) => {}
            // What was read is older than what we know; once that is written, the rows are read again.
            Some(lane) if lane.record.has_circuit() => self.reload.passed_over = true,
            // It was written meanwhile: they are read again at once.
            Some(lane) if lane.record.outdates(self.reload.number) => self.reload.again = true,
            Some(_) => self.change(key, stored),
            None => self.open(key, stored),
        }
    }

    fn open(&mut self, key: SubscriptionKey, stored: Stored) {
        let subscription = &stored.subscription;
        let Some(target) = target(subscription) else { return };
        let health = Health::new(subscription.consecutive_failures, self.options.circuit_threshold);
        let status = Status::of(&stored, self.first_probe());
        self.lanes.insert(key, Lane::new(key, stored, target, health, status));
        match status {
            Status::Tripped { next_at, .. } => self.look_again(key, next_at),
            // At the start the queue is asked once for all lanes; a row that was bad until now may have a backlog.
            Status::Open if self.reload.is_started => self.look_again(key, UnixMicros(0)),
            _ => {}
        }
    }

    /// A row is gone, or has become unusable: then what waits for it waits until it is mended.
    fn miss(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get(&key) else { return };
        if self.is_bad(&lane.stored.subscription.uuid) {
            if lane.status != Status::Disabled {
                self.set_status(key, Status::Disabled);
            }
        } else {
            self.set_status(key, Status::Deleted);
            self.forget(key);
        }
    }

    /// Is there a row of this key that cannot be used?
    pub(super) fn is_bad(&self, uuid: &str) -> bool {
        self.reload.bad.contains(uuid)
    }

    /// A row differs. Only a change of URL, secret or activity makes what is under way count no more.
    fn change(&mut self, key: SubscriptionKey, stored: Stored) {
        self.versions += 1;
        let status = Status::of(&stored, self.first_probe());
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (old, new) = (&lane.stored.subscription, &stored.subscription);
        let sends_elsewhere = old.url != new.url || old.secret != new.secret;
        let renewed = sends_elsewhere || !lane.status.is_like(status);
        if sends_elsewhere && let Some(target) = target(new) {
            lane.target = target;
        }
        if renewed {
            lane.renew(self.versions, Health::new(new.consecutive_failures, self.options.circuit_threshold));
        }
        lane.adopt(stored);
        if renewed { self.set_status(key, status) } else { self.pump(key) }
    }

    /// Tripped rows found at a start are probed soon, but not all at once.
    fn first_probe(&self) -> UnixMicros {
        let spread = clock::jitter().abs();
        clock::now().after(self.options.probe_delay.0.mul_f64(spread))
    }

    /// Sets a lane's status; what it holds in memory goes back to the queue unless it is open.
    fn set_status(&mut self, key: SubscriptionKey, status: Status) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let was_open = lane.is_open();
        lane.status = status;
        if status == Status::Open {
            lane.reopen();
            self.retention.unpark(key);
            if !was_open {
                tracing::info!(subscription = lane.name(), "enabled; sending what was parked");
            }
            self.pump(key);
            self.look_again(key, UnixMicros(0));
        } else {
            self.give_up(key);
        }
        if let Status::Tripped { next_at, .. } = status {
            self.look_again(key, next_at);
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

/// Reads the catalog, names its rows in the queue, compiles the routing table.
async fn load(queue: Queue, catalog: SharedCatalog, keys: Keys) -> Result<Loaded, Error> {
    let Snapshot { mut subscriptions, mut problems, .. } = blocking(move || lock(&catalog).load()).await?;
    subscriptions.retain(|stored| can_be_sent_to(stored, &mut problems));
    let bad = problems.iter().map(|problem| problem.uuid.clone()).collect();
    problems.extend(subscriptions.iter().flat_map(Stored::complaints));
    let keys = keys.of(&queue, &subscriptions).await?;
    let stored: Vec<(SubscriptionKey, Stored)> = keys.into_iter().zip(subscriptions).collect();
    Ok(blocking(move || compile(stored, problems, bad)).await)
}

impl Keys {
    async fn of(&self, queue: &Queue, stored: &[Stored]) -> Result<Vec<SubscriptionKey>, Error> {
        let new: Vec<_> = stored.iter().map(name).filter(|name| !self.knows(name)).collect();
        if !new.is_empty() {
            let keys = queue.register(new.clone()).await?;
            let entries = new.into_iter().zip(keys).map(|((uuid, name), key)| (uuid, (name, key)));
            self.0.borrow_mut().extend(entries);
        }
        let known = self.0.borrow();
        Ok(stored.iter().filter_map(|s| known.get(&s.subscription.uuid).map(|(_, key)| *key)).collect())
    }

    fn knows(&self, (uuid, name): &(Box<str>, Box<str>)) -> bool {
        self.0.borrow().get(uuid).is_some_and(|(known, _)| known == name)
    }
}

fn name(stored: &Stored) -> (Box<str>, Box<str>) {
    (stored.subscription.uuid.clone(), stored.subscription.name.clone())
}

/// Can it? If not, notes why.
fn can_be_sent_to(stored: &Stored, problems: &mut Vec<RowProblem>) -> bool {
    let subscription = &stored.subscription;
    let Err(error) = Target::new(&subscription.url, &subscription.secret) else { return true };
    problems.push(RowProblem {
        uuid: subscription.uuid.to_string(),
        name: subscription.name.to_string(),
        what: error.to_string(),
    });
    false
}

/// What a row is sent to; rows that cannot be sent to were sorted out when they were loaded.
fn target(subscription: &Subscription) -> Option<Rc<Target>> {
    Target::new(&subscription.url, &subscription.secret).ok().map(Rc::new)
}

fn compile(
    stored: Vec<(SubscriptionKey, Stored)>,
    problems: Vec<RowProblem>,
    bad: FxHashSet<String>,
) -> Loaded {
    let routed = || stored.iter().filter(|(_, s)| s.subscription.activity != Activity::Disabled);
    let patterns =
        || routed().flat_map(|(key, s)| s.subscription.patterns.iter().map(|pattern| (pattern, key.0)));
    let trie = PatternTrie::new(patterns());
    let cover = minimal_cover(patterns().map(|(pattern, _)| pattern), MAX_COVER_PATTERNS);
    Loaded { stored, problems, bad, trie, cover }
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
