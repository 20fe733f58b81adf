//! What was read, carried out: each row to its lane and to the routing table in one step, a few rows a turn of the
//! loop, so that a change of all rows holds up no delivery.

use std::vec;

use decnet_core::health::Health;
use decnet_core::limits::MAX_RETRY_AFTER;
use decnet_core::subscription::{Activity, Subscription};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_core::topic::Pattern;
use decnet_store::catalog::Stored;
use decnet_store::queue::SubscriptionKey;

use super::super::Dispatcher;
use super::read::Loaded;
use crate::clock;
use crate::lane::Lane;
use crate::status::Status;

/// Rows a turn: about a millisecond.
const ROWS_AT_ONCE: usize = 256;

/// What is left to carry out.
#[derive(Debug, Default)]
pub(super) struct Applying {
    changed: vec::IntoIter<(SubscriptionKey, Stored)>,
    missing: vec::IntoIter<SubscriptionKey>,
    /// Had no row before: they have one again by now, or still have to end.
    rowless: vec::IntoIter<SubscriptionKey>,
}

/// What a row's events are.
fn routed(stored: &Stored) -> &[Pattern] {
    match stored.subscription.activity {
        Activity::Disabled => &[],
        Activity::Active | Activity::Tripped => &stored.subscription.patterns,
    }
}

impl Dispatcher {
    pub(super) fn begin_to_apply(&mut self, loaded: Loaded) {
        self.complain(&loaded.problems);
        self.reload.bad = loaded.bad;
        self.stats.bad_rows.set(self.reload.bad.len() as u64);
        self.stats.subscriptions.set(loaded.usable as u64);
        let rowless: Vec<SubscriptionKey> = self.reload.rowless.iter().copied().collect();
        self.reload.applying = Applying {
            changed: loaded.changed.into_iter(),
            missing: loaded.missing.into_iter(),
            rowless: rowless.into_iter(),
        };
    }

    /// One piece; true if there may be more.
    pub(super) fn apply_some(&mut self) -> bool {
        for _ in 0..ROWS_AT_ONCE {
            let Applying { changed, missing, rowless } = &mut self.reload.applying;
            if let Some((key, stored)) = changed.next() {
                self.apply_row(key, stored);
            } else if let Some(key) = missing.next() {
                self.miss(key);
            } else if let Some(key) = rowless.next() {
                self.still_rowless(key);
            } else {
                self.reload.applying = Applying::default();
                return false;
            }
        }
        true
    }

    fn apply_row(&mut self, key: SubscriptionKey, stored: Stored) {
        let was_rowless = self.reload.rowless.remove(&key);
        self.reroute(key, was_rowless, routed(&stored));
        let number = self.reload.number;
        match self.lanes.get(&key) {
            Some(lane) if lane.is_as(&stored) => {}
            // What was read is older than what we know; once that is written, the row is read again.
            Some(lane) if lane.record.has_circuit() => {
                self.reload.passed_over = true;
                self.pass_over(key, &stored);
            }
            // It was written meanwhile: it is read again at once.
            Some(lane) if lane.record.outdates(number) => {
                self.reload.again = true;
                self.pass_over(key, &stored);
            }
            Some(_) => self.change(key, stored),
            None => self.open(key, stored),
        }
    }

    /// Routes a lane's events by `new` patterns. What it is routed by is what its row says, unless it has none.
    fn reroute(&mut self, key: SubscriptionKey, is_rowless: bool, new: &[Pattern]) {
        let lane = self.lanes.get(&key).filter(|_| !is_rowless);
        let old = lane.map_or(&[][..], |lane| routed(&lane.stored));
        if old != new {
            old.iter().for_each(|pattern| self.trie.remove(pattern, key.0));
            new.iter().for_each(|pattern| self.trie.insert(pattern, key.0));
            self.reload.rerouted = true;
        }
    }

    /// Leaves a lane as it is until its row is read again, but for what its events are.
    fn pass_over(&mut self, key: SubscriptionKey, stored: &Stored) {
        self.reload.is_partial = true;
        self.read_again(key);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.stored.subscription.patterns = routed(stored).to_vec();
        }
    }

    fn open(&mut self, key: SubscriptionKey, stored: Stored) {
        let failures = stored.subscription.consecutive_failures;
        let health = Health::new(failures, self.options.circuit_threshold);
        let status = Status::of(&stored, self.first_probe());
        let Subscription { uuid, name, .. } = &stored.subscription;
        let tally = self.stats.shown.place(uuid, name, status.standing(stored.paused));
        if tally.is_own() {
            self.watch.own.push(key);
        }
        let deferred_until = stored.deferred_until;
        self.lanes.insert(key, Lane::new(key, stored, health, status, tally, self.clock.clone()));
        self.go_on_deferring(key, deferred_until);
        match status {
            Status::Tripped { next_at, .. } => self.look_again(key, next_at),
            // At the start the queue is asked once for all lanes; a row that was bad until now may have a backlog.
            Status::Open if self.reload.is_started => self.look_again(key, BootMicros(0)),
            _ => {}
        }
    }

    /// An earlier worker has noted that the receiver is to be sent nothing before then.
    fn go_on_deferring(&mut self, key: SubscriptionKey, until: Option<UnixMicros>) {
        let now = self.clock.uptime();
        let until = until.map(|until| self.clock.uptime_at(until).min(now.after(MAX_RETRY_AFTER)));
        if let (Some(until), Some(lane)) = (until.filter(|until| *until > now), self.lanes.get_mut(&key)) {
            lane.hold.by_receiver(until);
            lane.tally.deferred(Some(until));
        }
    }

    /// A row is gone, or has become unusable: then what waits for it waits until it is mended.
    fn miss(&mut self, key: SubscriptionKey) {
        let is_rowless = !self.reload.rowless.insert(key);
        self.reroute(key, is_rowless, &[]);
        self.still_rowless(key);
    }

    /// Asked again at every reload: a row that could not be used may be gone by now, and a lane that could not go
    /// yet for what was under way may be idle.
    fn still_rowless(&mut self, key: SubscriptionKey) {
        if !self.reload.rowless.contains(&key) {
            return;
        }
        let Some(lane) = self.lanes.get(&key) else {
            self.reload.rowless.remove(&key);
            return;
        };
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
    pub(in super::super) fn is_bad(&self, uuid: &str) -> bool {
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
        let is_lifted = lane.stored.deferrals_lifted != stored.deferrals_lifted;
        if renewed {
            lane.renew(self.versions, Health::new(new.consecutive_failures, self.options.circuit_threshold));
        }
        let toggled = lane.is_paused() != stored.paused;
        lane.adopt(stored);
        if renewed || is_lifted {
            self.lift_deferral(key);
        }
        match (renewed, toggled) {
            (true, _) => self.set_status(key, status),
            (false, true) => self.pause_or_resume(key),
            (false, false) => self.pump(key),
        }
    }

    /// An operator holds it back, or lets it go on. Its receiver is the same, so what was learnt of it counts.
    fn pause_or_resume(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let said = if lane.is_paused() { "paused; what is routed to it waits" } else { "resumed" };
        tracing::info!(subscription = lane.name(), "{said}");
        lane.backlog.look_everywhere();
        self.go_on(key);
    }

    /// Tripped rows found at a start are probed soon, but not all at once.
    fn first_probe(&self) -> BootMicros {
        let spread = clock::jitter().abs();
        self.clock.uptime().after(self.options.probe_delay.0.mul_f64(spread))
    }

    /// Sets a lane's status, and does what follows from it.
    fn set_status(&mut self, key: SubscriptionKey, status: Status) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let was_open = lane.is_open();
        lane.stand(status);
        if status == Status::Open {
            lane.reopen();
        }
        if lane.is_open() && !was_open {
            tracing::info!(subscription = lane.name(), "enabled; sending what was parked");
        }
        self.go_on(key);
    }

    /// Sends what waits, if the lane is open; else what it holds in memory goes back to the queue.
    fn go_on(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get(&key) else { return };
        let status = lane.status;
        if lane.is_open() {
            self.retention.unpark(key);
            self.pump(key);
            self.look_again(key, BootMicros(0));
        } else {
            self.give_up(key);
        }
        if let Status::Tripped { next_at, .. } = status {
            self.look_again(key, next_at);
        }
    }
}
