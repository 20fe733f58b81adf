//! The health of a subscription: its circuit breaker trips, is probed, and is reopened.

use std::time::{Duration, Instant};

use decnet_core::delivery::{Outcome, Reason, Verdict};
use decnet_core::health::{Health, probe_delay};
use decnet_core::limits::{MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_ERROR_CHARS};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::catalog::{CircuitChange, Deferral};
use decnet_store::queue::{Delivery, SubscriptionKey};

use super::writes::WriteResult;
use super::{Dispatcher, claims};
use crate::lane_state::LaneState;
use crate::memory_budget::Allowance;
use crate::request_batch::RequestBatch;
use decnet_runtime::clock;
use decnet_sender::AttemptResult;

impl Dispatcher {
    /// Records a successful delivery.
    pub(super) fn on_success(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        let failures = lane.health.consecutive_failures();
        lane.health.succeeded();
        lane.pending_health.record_success(self.clock.wall());
        self.health.add(lane);
        if failures > 0 && lane.state == LaneState::Open {
            lane.failure_log.log_recovery(lane.name(), failures);
        }
        self.reopen_if_tripped(key);
    }

    /// Records that the receiver refused a body (400, 413, 415, 422). This does not count towards the circuit threshold,
    /// and shows that a tripped receiver is back.
    pub(super) fn on_refusal(&mut self, key: SubscriptionKey, result: &AttemptResult) {
        let lane = &mut self.lanes[key];
        let error = error_text(result);
        lane.failure_log.log_refusal(lane.name(), &lane.stored.subscription.url, &error, Instant::now());
        lane.pending_health.record_refusal(self.clock.wall(), &error);
        lane.metrics.set_last_error(self.clock.uptime(), &error);
        self.health.add(lane);
        self.reopen_if_tripped(key);
    }

    /// Records a failed attempt that does not count towards the circuit threshold yet.
    pub(super) fn on_retry(&mut self, key: SubscriptionKey, result: &AttemptResult) {
        self.lanes[key].metrics.set_last_error(self.clock.uptime(), &error_text(result));
    }

    /// Records that no request could be rendered from a delivery. This says nothing about the receiver.
    pub(super) fn on_unrendered(&mut self, key: SubscriptionKey, result: &AttemptResult, is_probe: bool) {
        let lane = &mut self.lanes[key];
        let error = error_text(result);
        lane.failure_log.log_rejection(lane.name(), &error, Instant::now());
        lane.metrics.set_last_error(self.clock.uptime(), &error);
        if is_probe {
            self.postpone_probe(key);
        }
    }

    /// Reopens a tripped lane whose receiver has sent a good reply.
    fn reopen_if_tripped(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        if !matches!(lane.state, LaneState::Tripped { .. }) {
            return;
        }
        lane.reopen();
        if lane.is_open() {
            self.retention.unpark(key);
        }
        lane.health = Health::new(0, self.options.circuit_threshold);
        lane.pending_health.record_circuit(CircuitChange::Reopen);
        self.health.add(lane);
        let consequence = if lane.is_paused() {
            "the parked deliveries wait until the subscription is resumed"
        } else {
            "sending the parked deliveries"
        };
        tracing::info!(subscription = lane.name(), "the receiver has recovered; {consequence}");
        self.stats.recoveries.add(1);
        self.emit_recovered(key);
        self.refill(key);
        self.write_health();
    }

    /// Holds the lane for the time that its receiver has asked for. Requests in flight continue.
    pub(super) fn defer(&mut self, key: SubscriptionKey, wait: Duration) {
        if wait.is_zero() {
            return;
        }
        let lane = &mut self.lanes[key];
        let until = self.clock.uptime().after(wait);
        if !lane.hold.extend_by_receiver(until) {
            return;
        }
        lane.failure_log.log_deferral(lane.name(), wait, Instant::now());
        lane.metrics.update_labels(|labels| labels.deferred_until = Some(until));
        lane.pending_health.record_deferral(Deferral::Until(self.clock.time_at(until)));
        self.health.add(lane);
        // The wait is written at once, so that it still applies if the worker is killed.
        self.write_health();
    }

    /// Ends the wait that the lane's receiver has asked for, and retries now, because an operator has lifted the wait or the
    /// receiver has changed.
    pub(super) fn lift_deferral(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        if !lane.hold.lift(self.clock.uptime()) {
            return;
        }
        lane.retry_now();
        lane.metrics.update_labels(|labels| labels.deferred_until = None);
        lane.pending_health.record_deferral(Deferral::None);
        self.health.add(lane);
        self.schedule(key, BootMicros(0));
    }

    /// Records a failed delivery in the health of the subscription. Trips the lane at the threshold, and parks it after a
    /// 410.
    pub(super) fn on_failure(&mut self, key: SubscriptionKey, result: &AttemptResult, verdict: &Verdict) {
        let lane = &mut self.lanes[key];
        let error = error_text(result);
        let reaches_threshold = lane.health.failed();
        if lane.health.consecutive_failures() == 1 {
            lane.failure_log.log_failure(lane.name(), &lane.stored.subscription.url, &error, Instant::now());
        }
        lane.pending_health.record_failure(self.clock.wall(), &error);
        lane.metrics.set_last_error(self.clock.uptime(), &error);
        self.health.add(lane);
        if *verdict == Verdict::Gone && matches!(lane.state, LaneState::Open | LaneState::Tripped { .. }) {
            tracing::warn!(
                subscription = lane.name(),
                error,
                "the receiver is gone; deliveries are parked until the subscription is enabled again"
            );
            lane.set_state(LaneState::Gone);
            lane.pending_health.record_circuit(CircuitChange::Gone);
        } else if (reaches_threshold || *verdict == Verdict::Hold) && lane.state == LaneState::Open {
            self.trip(key, &error);
        } else {
            return;
        }
        self.stats.trips.add(1);
        self.emit_tripped(key, verdict, &error);
        self.spill_to_queue(key);
        self.write_health();
    }

    fn trip(&mut self, key: SubscriptionKey, error: &str) {
        let lane = &mut self.lanes[key];
        tracing::warn!(
            subscription = lane.name(),
            failures = lane.health.consecutive_failures(),
            threshold = self.options.circuit_threshold,
            error,
            "tripped; deliveries are parked until a probe succeeds"
        );
        lane.pending_health.record_circuit(CircuitChange::Trip);
        self.schedule_probe(key, 0, self.probe_delay(0));
    }

    /// Moves the lane's deliveries from memory to the queue.
    pub(super) fn spill_to_queue(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        self.memory.release(lane.ready_len(), lane.ready_bytes());
        let admitted = lane.clear();
        if admitted.is_empty() {
            return;
        }
        lane.metrics.count_queued(admitted.len());
        let ids = admitted.iter().map(|delivery| delivery.id).collect();
        self.spawn_write(async move |queue| queue.release(ids).await, move |()| WriteResult::Released(key));
    }

    pub(super) fn on_released(&mut self, key: SubscriptionKey) {
        // The lane may have been removed: a release does not keep it, since the deliveries are in the queue.
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.backlog.rescan();
            self.refill(key);
        }
    }

    /// Claims a delivery for a half-open probe of a tripped receiver, if the probe is due. Any waiting delivery is suitable,
    /// even if its retry is not due.
    pub(super) fn probe_if_due(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        let LaneState::Tripped { probes, next_at, probing: false } = lane.state else { return };
        if lane.is_paused() {
            return;
        }
        let next_at = lane.hold.not_before(next_at);
        if self.clock.uptime() < next_at {
            return self.schedule(key, next_at);
        }
        if lane.backlog.is_claiming || self.is_stopping {
            return self.schedule(key, self.clock.uptime().after(self.options.probe_delay.0));
        }
        lane.state = LaneState::Tripped { probes, next_at, probing: true };
        let deliveries = if lane.stored.settings.ordered { MAX_BATCH_EVENTS } else { 1 };
        self.claim(key, Allowance { deliveries, bytes: MAX_BODY_BYTES }, UnixMicros(i64::MAX));
    }

    /// Sends a probe with one of the claimed deliveries. The others stay in the queue.
    pub(super) fn send_probe(&mut self, key: SubscriptionKey, deliveries: Vec<Delivery>) {
        let lane = &mut self.lanes[key];
        // Retries are due in any order. An ordered lane sends the oldest one first.
        let delivery = if lane.stored.settings.ordered && deliveries.first().is_some_and(|d| d.was_retry) {
            deliveries.into_iter().filter(|delivery| delivery.was_retry).min_by_key(|delivery| delivery.id)
        } else {
            deliveries.into_iter().next()
        };
        let Some(delivery) = delivery else { return self.postpone_probe(key) };
        let Some(permit) = self.limiter.try_acquire(false, 0) else { return self.postpone_probe(key) };
        self.memory.hold(delivery.event.body.len());
        let delivery = claims::ready(delivery);
        lane.claimed.insert(delivery.id, delivery.source);
        self.start_attempt(key, RequestBatch::single(delivery), permit, true);
    }

    /// Schedules the next probe after a failed probe. If the probe succeeded, the lane is no longer tripped.
    pub(super) fn on_probe_finished(&mut self, key: SubscriptionKey) {
        if let LaneState::Tripped { probes, .. } = self.lanes[key].state {
            let probes = probes.saturating_add(1);
            self.schedule_probe(key, probes, self.probe_delay(probes));
        }
    }

    /// Schedules the probe of a tripped lane again, because there was no delivery or no permit. This does not count as
    /// a failed probe.
    pub(super) fn postpone_probe(&mut self, key: SubscriptionKey) {
        if let LaneState::Tripped { probes, .. } = self.lanes[key].state {
            self.schedule_probe(key, probes, self.probe_delay(0));
        }
    }

    /// Returns the wait before the next probe, after this number of failed probes.
    fn probe_delay(&self, failed_probes: u32) -> Duration {
        probe_delay(self.options.probe_delay, failed_probes, clock::jitter())
    }

    fn schedule_probe(&mut self, key: SubscriptionKey, failed_probes: u32, delay: Duration) {
        let lane = &mut self.lanes[key];
        let next_at = lane.hold.not_before(self.clock.uptime().after(delay));
        lane.set_state(LaneState::Tripped { probes: failed_probes, next_at, probing: false });
        self.schedule(key, next_at);
    }
}

/// Returns the text for the row's `last_error`.
fn error_text(result: &AttemptResult) -> String {
    let text = match (&result.outcome, &result.detail) {
        (_, Some(detail)) => detail.to_string(),
        (Outcome::Replied { status, .. }, None) => format!("http {status}"),
        (Outcome::Failed(reason), None) => reason.to_string(),
        (Outcome::LocalFault, None) => Reason::Internal.to_string(),
    };
    text.chars().take(MAX_ERROR_CHARS).collect()
}
