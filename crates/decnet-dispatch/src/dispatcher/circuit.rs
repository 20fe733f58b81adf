//! A subscription's health: trip, probe, re-open.

use decnet_core::delivery::{Outcome, Reason};
use decnet_core::health::{Health, probe_delay};
use decnet_core::limits::{MAX_BODY_BYTES, MAX_ERROR_CHARS};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Delivery, SubscriptionKey};

use super::{Dispatcher, Done, claims};
use crate::clock;
use crate::lane::Status;
use crate::memory::Share;
use crate::record::Circuit;
use crate::sender::Attempted;

impl Dispatcher {
    /// A delivery succeeded: the receiver is there.
    pub(super) fn succeeded(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let failures = lane.health.consecutive_failures();
        lane.health.succeeded();
        lane.record.succeeded(clock::now());
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        if failures > 0 && lane.is_open() {
            lane.trouble.over(lane.name(), failures);
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
        self.retention.unpark(key);
        lane.health = Health::new(0, self.options.circuit_threshold);
        lane.record.circuit(Circuit::Reopened);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        tracing::info!(subscription = lane.name(), "the receiver is back; sending what was parked");
        self.refill(key);
        self.record();
    }

    /// A delivery failed, in the sense of the subscription's health; 410 ends it at once.
    pub(super) fn failed(&mut self, key: SubscriptionKey, attempted: &Attempted, gone: Option<Reason>) {
        let threshold = self.options.circuit_threshold;
        let delay = probe_delay(self.options.probe_delay, 0, clock::jitter());
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let error = error_text(attempted);
        let trips = lane.health.failed();
        if lane.health.consecutive_failures() == 1 {
            lane.trouble.begins(lane.name(), &lane.stored.subscription.url, &error, clock::now());
        }
        lane.record.failed(clock::now(), &error);
        if lane.record.enlist() {
            self.learnt.push(key);
        }
        let next_at = clock::now().after(delay);
        if gone.is_some() && matches!(lane.status, Status::Open | Status::Tripped { .. }) {
            tracing::warn!(
                subscription = lane.name(),
                "the receiver answered 410 Gone; parked until it is enabled again"
            );
            lane.status = Status::Gone;
            lane.record.circuit(Circuit::Gone);
        } else if trips && lane.is_open() {
            let failures = lane.health.consecutive_failures();
            tracing::warn!(
                subscription = lane.name(),
                failures,
                threshold,
                error,
                "tripped; parked until a probe gets through"
            );
            lane.status = Status::Tripped { probes: 0, next_at, probing: false };
            lane.record.circuit(Circuit::Tripped);
            self.look_again(key, next_at);
        } else {
            return;
        }
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
        if clock::now() < next_at {
            return self.look_again(key, next_at);
        }
        if lane.backlog.claiming || self.stopping {
            return self.look_again(key, clock::now().after(self.options.probe_delay.0));
        }
        lane.status = Status::Tripped { probes, next_at, probing: true };
        self.claim(key, Share { deliveries: 1, bytes: MAX_BODY_BYTES }, UnixMicros(i64::MAX));
    }

    pub(super) fn probe_with(&mut self, key: SubscriptionKey, deliveries: Vec<Delivery>) {
        let Some(delivery) = deliveries.into_iter().next() else { return self.probe_later(key) };
        let Some(slot) = self.slots.take(false) else { return self.probe_later(key) };
        self.memory.take(delivery.event.body.len());
        let held = claims::held(delivery);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.mark_claimed(&held);
        }
        self.start_attempt(key, held, slot, true);
    }

    /// A probe is over; if the lane is still tripped, it failed.
    pub(super) fn probed(&mut self, key: SubscriptionKey) {
        if let Some(Status::Tripped { probes, .. }) = self.lanes.get(&key).map(|lane| lane.status) {
            let probes = probes.saturating_add(1);
            self.probe_after(key, probes, probes);
        }
    }

    /// There was nothing to probe with, or no slot: the same wait again, without counting it as failed.
    fn probe_later(&mut self, key: SubscriptionKey) {
        if let Some(Status::Tripped { probes, .. }) = self.lanes.get(&key).map(|lane| lane.status) {
            self.probe_after(key, probes, 0);
        }
    }

    /// Puts the next probe off by the delay that follows `step` failed ones; `probes` have failed so far.
    fn probe_after(&mut self, key: SubscriptionKey, probes: u32, step: u32) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let next_at = clock::now().after(probe_delay(self.options.probe_delay, step, clock::jitter()));
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
    };
    text.chars().take(MAX_ERROR_CHARS).collect()
}
