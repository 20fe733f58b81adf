//! A subscription's health: trip, probe, re-open.

use std::time::{Duration, Instant};

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::health::{Health, probe_delay};
use decnet_core::limits::{MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_ERROR_CHARS};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::catalog::Deferral;
use decnet_store::queue::{Delivery, SubscriptionKey};

use super::{Dispatcher, Done, claims};
use crate::clock;
use crate::members::Members;
use crate::memory::Share;
use crate::record::Circuit;
use crate::sender::Attempted;
use crate::status::Status;

impl Dispatcher {
    /// A delivery succeeded: the receiver is there.
    pub(super) fn succeeded(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let failures = lane.health.consecutive_failures();
        lane.health.succeeded();
        lane.record.succeeded(self.clock.wall());
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        if failures > 0 && lane.status == Status::Open {
            lane.trouble.over(lane.name(), failures);
        }
        self.answered(key);
    }

    /// Records that the receiver refused a body (400, 413, 415, 422). This does not count towards the circuit threshold, and
    /// shows that a tripped receiver is back.
    pub(super) fn refused(&mut self, key: SubscriptionKey, attempted: &Attempted) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (error, now) = (error_text(attempted), self.clock.wall());
        lane.trouble.refused(lane.name(), &lane.stored.subscription.url, &error, Instant::now());
        lane.record.refused(now, &error);
        lane.tally.failed(self.clock.uptime(), &error);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        self.answered(key);
    }

    /// The receiver answered sensibly; a tripped one is back.
    pub(super) fn answered(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if !matches!(lane.status, Status::Tripped { .. }) {
            return;
        }
        lane.reopen();
        if lane.is_open() {
            self.retention.unpark(key);
        }
        lane.health = Health::new(0, self.options.circuit_threshold);
        lane.record.circuit(Circuit::Reopened);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        let then = if lane.is_paused() {
            "what is parked goes when it is resumed"
        } else {
            "sending what was parked"
        };
        tracing::info!(subscription = lane.name(), "the receiver is back; {then}");
        self.stats.recoveries.add(1);
        self.tell_recovered(key);
        self.refill(key);
        self.record();
    }

    /// Sends nothing to a lane's receiver for as long as it asks for: neither first attempts nor retries nor probes. Requests in
    /// flight go on.
    pub(super) fn defer(&mut self, key: SubscriptionKey, wait: Duration) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|_| !wait.is_zero()) else { return };
        let until = self.clock.uptime().after(wait);
        if !lane.hold.by_receiver(until) {
            return;
        }
        lane.trouble.deferred(lane.name(), wait, Instant::now());
        lane.tally.deferred(Some(until));
        lane.record.deferral(Deferral::Until(self.clock.time_at(until)));
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        // At once, so that it outlives a worker that is killed.
        self.record();
    }

    /// Forgets what a lane's receiver has asked for, and what is to be tried again goes now: an operator wishes it, or the
    /// receiver is another one now.
    pub(super) fn lift_deferral(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if !lane.hold.lift(self.clock.uptime()) {
            return;
        }
        lane.hurry();
        lane.tally.deferred(None);
        lane.record.deferral(Deferral::None);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        self.look_again(key, BootMicros(0));
    }

    /// A delivery failed, in the sense of the subscription's health; 410 ends it at once.
    pub(super) fn failed(&mut self, key: SubscriptionKey, attempted: &Attempted, gone: Option<Reason>) {
        let threshold = self.options.circuit_threshold;
        let delay = self.until_probe(0);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let error = error_text(attempted);
        let trips = lane.health.failed();
        if lane.health.consecutive_failures() == 1 {
            lane.trouble.begins(lane.name(), &lane.stored.subscription.url, &error, Instant::now());
        }
        let now = self.clock.wall();
        lane.record.failed(now, &error);
        lane.tally.failed(self.clock.uptime(), &error);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        let next_at = lane.hold.not_before(self.clock.uptime().after(delay));
        if gone.is_some() && matches!(lane.status, Status::Open | Status::Tripped { .. }) {
            tracing::warn!(
                subscription = lane.name(),
                "the receiver answered 410 Gone; parked until it is enabled again"
            );
            lane.stand(Status::Gone);
            lane.record.circuit(Circuit::Gone);
        } else if trips && lane.status == Status::Open {
            let failures = lane.health.consecutive_failures();
            tracing::warn!(
                subscription = lane.name(),
                failures,
                threshold,
                error,
                "tripped; parked until a probe gets through"
            );
            lane.stand(Status::Tripped { probes: 0, next_at, probing: false });
            lane.record.circuit(Circuit::Tripped);
            self.look_again(key, next_at);
        } else {
            return;
        }
        self.stats.trips.add(1);
        self.tell_tripped(key, attempted, &error);
        self.give_up(key);
        self.record();
    }

    /// Moves what waits in memory back to the queue.
    pub(super) fn give_up(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (count, bytes) = (lane.ready_len(), lane.ready_bytes());
        let held = lane.give_up();
        self.memory.give(count, bytes);
        if held.is_empty() {
            return;
        }
        lane.tally.queued(held.len());
        let (queue, ids) = (self.queue.clone(), held.iter().map(|held| held.id).collect());
        self.write(async move { queue.release(ids).await }, move |()| Done::Released(key));
    }

    pub(super) fn released(&mut self, key: SubscriptionKey) {
        self.writes -= 1;
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.backlog.look_everywhere();
        }
        self.refill(key);
    }

    /// Sends one waiting delivery to a tripped receiver when its time has come; a delivery that is not due
    /// yet will do, since whichever it is, one must go first.
    pub(super) fn probe_if_due(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let Status::Tripped { probes, next_at, probing: false } = lane.status else { return };
        if lane.is_paused() {
            return;
        }
        let next_at = lane.hold.not_before(next_at);
        if self.clock.uptime() < next_at {
            return self.look_again(key, next_at);
        }
        if lane.backlog.claiming || self.stopping {
            return self.look_again(key, self.clock.uptime().after(self.options.probe_delay.0));
        }
        lane.status = Status::Tripped { probes, next_at, probing: true };
        let deliveries = if lane.stored.settings.ordered { MAX_BATCH_EVENTS } else { 1 };
        self.claim(key, Share { deliveries, bytes: MAX_BODY_BYTES }, UnixMicros(i64::MAX));
    }

    pub(super) fn probe_with(&mut self, key: SubscriptionKey, deliveries: Vec<Delivery>) {
        let Some(lane) = self.lanes.get(&key) else { return };
        // Where order counts, what is to be tried again is due in any order, and the oldest goes first.
        let delivery = if lane.stored.settings.ordered && deliveries.first().is_some_and(|d| d.was_retry) {
            deliveries.into_iter().filter(|delivery| delivery.was_retry).min_by_key(|delivery| delivery.id)
        } else {
            deliveries.into_iter().next()
        };
        let Some(delivery) = delivery else { return self.probe_later(key) };
        let Some(slot) = self.slots.take(false, 0) else { return self.probe_later(key) };
        self.memory.take(delivery.event.body.len());
        let held = claims::held(delivery);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.mark_claimed(&held);
        }
        self.start_attempt(key, Members::one(held), slot, true);
    }

    /// A probe is over; if the lane is still tripped, it failed.
    pub(super) fn probed(&mut self, key: SubscriptionKey) {
        if let Some(Status::Tripped { probes, .. }) = self.lanes.get(&key).map(|lane| lane.status) {
            let probes = probes.saturating_add(1);
            self.probe_after(key, probes, self.until_probe(probes));
        }
    }

    /// There was nothing to probe with, or no slot: the same wait again, without counting it as failed.
    pub(super) fn probe_later(&mut self, key: SubscriptionKey) {
        if let Some(Status::Tripped { probes, .. }) = self.lanes.get(&key).map(|lane| lane.status) {
            self.probe_after(key, probes, self.until_probe(0));
        }
    }

    /// How long to wait before the next probe, after `step` failed ones.
    fn until_probe(&self, step: u32) -> Duration {
        probe_delay(self.options.probe_delay, step, clock::jitter())
    }

    /// Puts the next probe off; `probes` have failed so far.
    fn probe_after(&mut self, key: SubscriptionKey, probes: u32, delay: Duration) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let next_at = lane.hold.not_before(self.clock.uptime().after(delay));
        lane.status = Status::Tripped { probes, next_at, probing: false };
        self.look_again(key, next_at);
    }
}

/// What the row's `last_error` says.
fn error_text(attempted: &Attempted) -> String {
    let text = match (&attempted.outcome, &attempted.detail) {
        (_, Some(detail)) => detail.to_string(),
        (Outcome::Replied { status, .. }, None) => format!("http {status}"),
        (Outcome::Failed(reason), None) => reason.to_string(),
        (Outcome::LocalFault, None) => Reason::Internal.to_string(),
    };
    text.chars().take(MAX_ERROR_CHARS).collect()
}
