//! The lane of one subscription: its deliveries in memory, and what it may send now.

mod batching;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use decnet_core::congestion_window::CongestionWindow;
use decnet_core::health::Health;
use decnet_core::limits::{INITIAL_CONCURRENCY, LANE_BYTES, MAX_LANE_IN_FLIGHT, MAX_LANE_IN_FLIGHT_BYTES};
use decnet_core::settings::{Concurrency, Pacer};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::catalog::{RowVersion, StoredSubscription};
use decnet_store::queue::{Claim, DeliveryId, SubscriptionKey};

use crate::backlog::{Backlog, Queued};
use crate::claimed_set::ClaimedSet;
use crate::concurrency_limiter::Ticket;
use crate::failure_log::FailureLog;
use crate::hold::Hold;
use crate::lane_state::LaneState;
use crate::memory_budget::Allowance;
use crate::metrics_handle::MetricsHandle;
use crate::notice_throttle::NoticeThrottle;
use crate::pending_health::PendingHealthUpdate;
use crate::request_batch::{DeliverySource, ReadyDelivery, RequestBatch};
use decnet_runtime::clock::Clock;
use decnet_sender::{Destination, RenderContext, Target};

/// The state of one subscription in the dispatcher.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) key: SubscriptionKey,
    pub(crate) stored: StoredSubscription,
    /// The version of the row after the worker's own writes, which fences the next write.
    pub(crate) row: Arc<RowVersion>,
    /// The version of the lane, which increases when the URL, the secret or the activity changes. Results of attempts with an
    /// older version do not count.
    pub(crate) version: u64,
    /// The target of requests, created on first use: it takes most of a lane's memory, and most lanes are quiet.
    target: Option<Rc<Target>>,
    /// The format of requests, if the subscription has one.
    pub(crate) destination: Option<Rc<Destination>>,
    /// Whether a digest is sent before the end of its window, as a delivery in memory requires.
    is_urgent: bool,
    pub(crate) state: LaneState,
    pub(crate) health: Health,
    /// Whether the last attempt was a fast success.
    pub(crate) is_proven: bool,
    /// Whether the last attempt got a good reply, fast or not.
    pub(crate) is_answering: bool,
    /// The number of concurrent requests that the receiver can handle.
    pub(crate) window: CongestionWindow,
    /// The lane's position in the queue for a permit.
    pub(crate) ticket: Option<Ticket>,
    pub(crate) in_flight: usize,
    /// The deliveries that the lane's requests in flight carry.
    carried: Allowance,
    /// The number of finished attempts whose commit is under way.
    pub(crate) settling: usize,
    /// The number of deliveries that are admitted into memory and whose commit is under way.
    pub(crate) reserved: usize,
    pub(crate) backlog: Backlog,
    pacer: Pacer,
    pub(crate) hold: Hold,
    /// The time of the lane's `Wake` timer: when its hold, rate or batch allows the next request.
    pub(crate) wake_at: Option<BootMicros>,
    pub(crate) pending_health: PendingHealthUpdate,
    pub(crate) failure_log: FailureLog,
    pub(crate) metrics: MetricsHandle,
    pub(crate) clock: Clock,
    pub(crate) notice_throttle: NoticeThrottle,
    ready: VecDeque<ReadyDelivery>,
    ready_bytes: usize,
    pub(crate) claimed: ClaimedSet,
}

impl Lane {
    pub(crate) fn new(
        key: SubscriptionKey,
        stored: StoredSubscription,
        health: Health,
        state: LaneState,
        metrics: MetricsHandle,
        clock: Clock,
        context: &Rc<RenderContext>,
    ) -> Self {
        Self {
            key,
            version: 0,
            target: None,
            destination: destination_of(&stored, context),
            is_urgent: false,
            state,
            row: Arc::clone(&stored.version),
            stored,
            health,
            is_proven: false,
            is_answering: false,
            window: CongestionWindow::default(),
            ticket: None,
            in_flight: 0,
            carried: Allowance { deliveries: 0, bytes: 0 },
            settling: 0,
            reserved: 0,
            backlog: Backlog::default(),
            pacer: Pacer::default(),
            hold: Hold::default(),
            wake_at: None,
            pending_health: PendingHealthUpdate::default(),
            failure_log: FailureLog::default(),
            metrics,
            clock,
            notice_throttle: NoticeThrottle::default(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            claimed: ClaimedSet::default(),
        }
    }

    /// Prepares the format of requests, after the settings or the severities have changed.
    pub(crate) fn prepare_destination(&mut self, context: &Rc<RenderContext>) {
        self.destination = destination_of(&self.stored, context);
        self.target = None;
    }

    pub(crate) fn name(&self) -> &str {
        &self.stored.subscription.name
    }

    /// Replaces the row.
    pub(crate) fn replace_row(&mut self, stored: StoredSubscription, context: &Rc<RenderContext>) {
        let (old, new) = (&self.stored.settings, &stored.settings);
        if (old.rate, old.batch, old.digest) != (new.rate, new.batch, new.digest) {
            // The pace of the old rate and the linger of the old batch do not apply to the new rate and batch.
            (self.pacer, self.wake_at) = (Pacer::default(), None);
        }
        if self.stored.subscription.name != stored.subscription.name {
            self.metrics.update_labels(|labels| labels.name.clone_from(&stored.subscription.name));
        }
        self.row = Arc::clone(&stored.version);
        self.target = None;
        let has_changed = self.stored.settings != stored.settings
            || self.stored.subscription.url != stored.subscription.url;
        self.stored = stored;
        if has_changed {
            self.prepare_destination(context);
        }
        self.metrics.show_state(self.state, &self.stored);
    }

    /// Discards the observations of the receiver, since the subscription now has a different receiver. `version` is the lane's
    /// new version.
    pub(crate) fn reset_receiver(&mut self, version: u64, health: Health) {
        self.version = version;
        self.health = health;
        (self.is_proven, self.is_answering, self.window) = (false, false, CongestionWindow::default());
        self.pending_health = PendingHealthUpdate::default();
    }

    /// Returns the part of the row that an attempt needs.
    pub(crate) fn target(&mut self) -> Rc<Target> {
        let prepare = || {
            let (subscription, settings) = (&self.stored.subscription, &self.stored.settings);
            let destination = self.destination.as_deref();
            let target =
                Target::for_subscription(subscription, settings, &self.stored.old_secrets, destination);
            Rc::new(target.expect("a reload skips rows without a valid target"))
        };
        Rc::clone(self.target.get_or_insert_with(prepare))
    }

    /// Returns the destination with which a delivery is rendered: that of its earlier attempts, or the current one. `None` for a plain
    /// event.
    pub(crate) fn destination_for(&self, delivery: &ReadyDelivery) -> Option<Rc<Destination>> {
        let current = self.destination.as_ref();
        let Some(rendered) = &delivery.rendered else {
            // A delivery that was tried and not rendered was sent as a plain event.
            return current.filter(|_| !delivery.was_tried()).cloned();
        };
        let rendering = &rendered.rendering;
        if let Some(current) = current.filter(|current| current.rendering().id == rendering.id) {
            return Some(Rc::clone(current));
        }
        let earlier = Destination::restore(rendering, &self.stored.subscription.url);
        earlier.map(Rc::new).or_else(|| current.cloned())
    }

    /// Returns the part of the row that an attempt with this destination needs.
    pub(crate) fn target_for(&mut self, destination: Option<&Rc<Destination>>) -> Rc<Target> {
        if destination.map(Rc::as_ptr) == self.destination.as_ref().map(Rc::as_ptr) {
            return self.target();
        }
        let StoredSubscription { subscription, settings, old_secrets, .. } = &self.stored;
        let destination = destination.map(|destination| &**destination);
        let target = Target::for_subscription(subscription, settings, old_secrets, destination);
        Rc::new(target.expect("a reload skips rows without a valid target"))
    }

    /// Returns whether the lane already conforms to the row.
    pub(crate) fn matches_row(&self, stored: &StoredSubscription) -> bool {
        self.stored == *stored && self.state.is_like(LaneState::of_row(stored, BootMicros(0)))
    }

    /// Returns whether neither the receiver's health nor an operator keeps the lane from sending.
    pub(crate) fn is_open(&self) -> bool {
        self.state == LaneState::Open && !self.is_paused()
    }

    /// Returns whether an operator has paused the subscription, or its filter or format cannot be used. The state changes
    /// independently: a lane that trips while it is paused is tripped when it is resumed.
    pub(crate) fn is_paused(&self) -> bool {
        self.stored.is_paused()
    }

    /// Returns the maximum number of requests in flight: the subscription's own setting, or `default`.
    pub(crate) fn concurrency(&self, default: usize) -> usize {
        self.stored.settings.concurrency.map_or(default, Concurrency::get)
    }

    /// Returns whether a request may start once there is a permit. A receiver that has not answered yet, or has answered
    /// badly, gets only a few requests, so that it holds few permits if it hangs.
    pub(crate) fn may_start(&self, default_concurrency: usize) -> bool {
        let concurrency = self.concurrency(default_concurrency);
        let allowed = match (self.stored.settings.ordered, self.is_answering) {
            (true, _) => usize::from(!self.backlog.blocks_ordered_lane()),
            (false, true) => self.window.allowed(concurrency),
            (false, false) => self.window.allowed(concurrency.min(INITIAL_CONCURRENCY)),
        };
        self.is_open()
            && self.ticket.is_none()
            && self.in_flight < allowed
            && self.carried.deliveries < MAX_LANE_IN_FLIGHT
            && self.carried.bytes < MAX_LANE_IN_FLIGHT_BYTES
            && !self.ready.is_empty()
    }

    pub(crate) fn start_request(&mut self, batch: &RequestBatch) {
        self.in_flight += 1;
        self.metrics.start_request();
        self.carried.deliveries += batch.len();
        self.carried.bytes += batch.bytes();
    }

    pub(crate) fn finish_request(&mut self, deliveries: usize, bytes: usize, failed: bool) {
        self.in_flight -= 1;
        self.metrics.finish_request(failed);
        self.carried.deliveries -= deliveries;
        self.carried.bytes -= bytes;
    }

    /// Returns the time before which a hold, the rate or the batch keeps the lane from sending, if there is one.
    pub(crate) fn held_back_until(&self) -> Option<BootMicros> {
        let settings = &self.stored.settings;
        let paced = settings.rate.map(|rate| self.pacer.earliest(rate));
        let lingering = self.batch().and_then(|batch| self.lingers_until(batch));
        self.hold.until().max(paced).max(lingering).filter(|until| *until > self.clock.uptime())
    }

    pub(crate) fn set_state(&mut self, state: LaneState) {
        self.state = state;
        self.metrics.show_state(state, &self.stored);
    }

    /// Opens the lane and makes it claim all parked deliveries, due or not.
    pub(crate) fn reopen(&mut self) {
        self.set_state(LaneState::Open);
        self.retry_now();
    }

    /// Sends the deliveries that wait for a retry now, as long as the receiver answers well.
    pub(crate) fn retry_now(&mut self) {
        self.backlog.rescan();
        self.backlog.ignores_due_times = true;
    }

    /// Returns whether no work of the lane is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.settling == 0
            && self.reserved == 0
            && !self.backlog.is_claiming
            && self.ready.is_empty()
    }

    /// Returns the delivery in memory that is to be sent first, which is approximately the oldest.
    pub(crate) fn oldest_ready(&self) -> Option<DeliveryId> {
        self.ready.front().map(|delivery| delivery.id)
    }

    pub(crate) fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Returns whether a newly admitted delivery may stay in memory. It may not if older deliveries are in the queue, because
    /// they would starve.
    pub(crate) fn fits(&self, bytes: usize, capacity: usize) -> bool {
        let count = self.ready.len() + self.reserved;
        self.is_open()
            && (self.backlog.queued == Queued::Nothing || self.backlog.is_draining)
            && count < capacity
            && (count == 0 || self.ready_bytes + bytes <= LANE_BYTES)
    }

    /// Returns whether the lane may hold many deliveries in memory. An ordered lane sends one at a time and needs few.
    pub(crate) fn is_fast(&self) -> bool {
        self.is_proven && !self.stored.settings.ordered
    }

    /// Returns the number of further deliveries that the lane may hold.
    pub(crate) fn free_deliveries(&self, capacity: usize) -> usize {
        capacity.saturating_sub(self.ready.len() + self.reserved)
    }

    /// Returns the number of further body bytes that the lane may hold.
    pub(crate) fn free_bytes(&self) -> usize {
        LANE_BYTES.saturating_sub(self.ready_bytes)
    }

    /// Appends a delivery to the deliveries in memory.
    pub(crate) fn push(&mut self, mut delivery: ReadyDelivery) {
        self.register(&mut delivery);
        self.ready.push_back(delivery);
    }

    /// Inserts retries before the deliveries without an attempt. An ordered lane sorts them by admission, since the
    /// deliveries of a failed batch may be due at different times.
    pub(crate) fn push_retries(&mut self, retries: impl DoubleEndedIterator<Item = ReadyDelivery>) {
        for mut delivery in retries.rev() {
            self.register(&mut delivery);
            self.ready.push_front(delivery);
        }
        if self.stored.settings.ordered {
            let is_retry = |delivery: &&ReadyDelivery| delivery.source == DeliverySource::Retry;
            let retries = self.ready.iter().take_while(is_retry).count();
            self.ready.make_contiguous()[..retries].sort_by_key(|delivery| delivery.id);
        }
    }

    /// Puts back the deliveries of a request that was not sent.
    pub(crate) fn put_back(&mut self, RequestBatch { first, rest }: RequestBatch) {
        for delivery in rest.into_iter().rev().chain([first]) {
            self.is_urgent |= self.is_delivery_urgent(&delivery);
            self.ready_bytes += delivery.bytes();
            self.ready.push_front(delivery);
        }
    }

    fn register(&mut self, delivery: &mut ReadyDelivery) {
        if self.batch().is_some() {
            delivery.ready_at = self.clock.uptime();
        }
        self.is_urgent |= self.is_delivery_urgent(delivery);
        self.ready_bytes += delivery.bytes();
        self.claimed.insert(delivery.id, delivery.source);
    }

    fn pop(&mut self) -> Option<ReadyDelivery> {
        let delivery = self.ready.pop_front()?;
        self.ready_bytes -= delivery.bytes();
        Some(delivery)
    }

    /// Removes all deliveries from memory. Returns the deliveries that the caller must release in the queue. The other
    /// deliveries were claimed and are still in the queue.
    pub(crate) fn clear(&mut self) -> Vec<ReadyDelivery> {
        (self.ready_bytes, self.is_urgent) = (0, false);
        let (admitted, claimed): (Vec<ReadyDelivery>, Vec<ReadyDelivery>) =
            self.ready.drain(..).partition(|delivery| delivery.source == DeliverySource::Admitted);
        for delivery in &claimed {
            self.claimed.release(delivery.id, delivery.source);
        }
        if !claimed.is_empty() {
            self.backlog.rescan();
        }
        admitted
    }

    /// Starts a claim of the deliveries that are due at `now`.
    pub(crate) fn start_claim(&mut self, allowance: Allowance, now: UnixMicros) -> Claim {
        self.backlog.start_claim(allowance, self.stored.settings.ordered);
        let after = self.backlog.claimed_up_to;
        let exclude = self.claimed.excluded_after(after);
        let now = if self.backlog.ignores_due_times { UnixMicros(i64::MAX) } else { now };
        Claim { sub: self.key, after, exclude, limit: allowance.deliveries, max_bytes: allowance.bytes, now }
    }
}

fn destination_of(stored: &StoredSubscription, context: &Rc<RenderContext>) -> Option<Rc<Destination>> {
    Destination::new(&stored.settings, &stored.subscription.url, context).map(Rc::new)
}
