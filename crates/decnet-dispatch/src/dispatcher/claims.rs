//! Deliveries that wait in the queue return to their lane: when there is free memory, when a retry is due, or for a probe.

use std::time::Duration;

use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::queue::{self, Claimed, Delivery, Queue, SubscriptionBacklog, SubscriptionKey};

use super::writes::WriteResult;
use super::{Dispatcher, Error};
use crate::backlog::Queued;
use crate::lane_state::LaneState;
use crate::memory_budget::Allowance;
use crate::request_batch::{DeliverySource, ReadyDelivery};
use crate::timers::TimerKind;

/// The wait of a retry that became due while a claim was under way.
const CLAIM_UNDER_WAY: Duration = Duration::from_millis(2);

/// The wait of a retry that became due while memory was full.
const MEMORY_FULL: Duration = Duration::from_millis(100);

impl Dispatcher {
    /// Claims more deliveries if few are left in memory and some may be queued.
    pub(super) fn refill(&mut self, key: SubscriptionKey) {
        let lane = &self.lanes[key];
        if lane.backlog.queued == Queued::Nothing || lane.backlog.is_claiming || !lane.is_open() {
            return;
        }
        let capacity = self.memory.lane_capacity(lane.is_fast());
        if lane.ready_len() <= lane.low_watermark(capacity) {
            let deliveries = lane.free_deliveries(capacity);
            self.try_claim(key, deliveries);
        }
    }

    /// Claims up to `deliveries` deliveries, as many as memory allows. Returns false if memory is full; a lane without
    /// deliveries then waits for free memory.
    fn try_claim(&mut self, key: SubscriptionKey, deliveries: usize) -> bool {
        let lane = &mut self.lanes[key];
        if lane.backlog.is_claiming {
            return true;
        }
        let wanted = Allowance { deliveries, bytes: lane.free_bytes().max(MAX_BODY_BYTES) };
        let is_empty = lane.ready_len() == 0;
        let minimum = lane.burst(lane.window.allowed(lane.concurrency(self.options.concurrency)));
        if let Some(allowance) = self.memory.allowance(wanted, is_empty, minimum) {
            self.claim(key, allowance, self.clock.now());
            return true;
        }
        lane.backlog.rescan();
        if is_empty && !std::mem::replace(&mut lane.backlog.is_starved, true) {
            self.memory.wait(key);
        }
        false
    }

    /// Gives free memory to the lanes that wait for memory.
    pub(super) fn refill_starved(&mut self) {
        while let Some(key) = self.memory.next_starved() {
            // A lane that was removed while it waited needs no memory.
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.backlog.is_starved = false;
                self.refill(key);
            }
        }
    }

    /// Claims the deliveries that are due at `now`.
    pub(super) fn claim(&mut self, key: SubscriptionKey, allowance: Allowance, now: UnixMicros) {
        let lane = &mut self.lanes[key];
        if lane.backlog.is_claiming || allowance.deliveries == 0 {
            return;
        }
        let claim = lane.start_claim(allowance, now);
        self.memory.reserve(allowance);
        self.spawn_write(
            async move |queue| queue.claim(claim).await,
            move |claimed| WriteResult::Claimed(key, allowance, claimed),
        );
    }

    pub(super) fn on_claimed(&mut self, key: SubscriptionKey, allowance: Allowance, claimed: Claimed) {
        self.memory.unreserve(allowance);
        let lane = &mut self.lanes[key];
        lane.backlog.finish_claim(&claimed);
        let has_more_due = claimed.more && claimed.deliveries.last().is_some_and(|last| last.was_retry);
        // An ordered lane sends nothing until all due retries are in memory.
        let now = (has_more_due && lane.stored.settings.ordered).then(|| self.clock.uptime());
        if let Some(due) = now.or_else(|| claimed.next_due.map(|due| self.clock.uptime_at(due))) {
            self.schedule(key, due);
        }
        let lane = &mut self.lanes[key];
        let (is_paused, state) = (lane.is_paused(), lane.state);
        match state {
            LaneState::Open if !is_paused => self.take_claimed(key, claimed.deliveries),
            LaneState::Tripped { probing: true, .. } if !is_paused => {
                self.send_probe(key, claimed.deliveries);
            }
            _ => {
                // The lane closed during the claim: the deliveries stay in the queue.
                if !claimed.deliveries.is_empty() {
                    lane.backlog.rescan();
                }
                if is_paused {
                    self.postpone_probe(key);
                }
            }
        }
    }

    fn take_claimed(&mut self, key: SubscriptionKey, deliveries: Vec<Delivery>) {
        let lane = &mut self.lanes[key];
        let (retries, fresh): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| delivery.was_retry);
        for delivery in retries.iter().chain(&fresh) {
            self.memory.hold(delivery.event.body.len());
        }
        lane.push_retries(retries.into_iter().map(ready));
        fresh.into_iter().map(ready).for_each(|delivery| lane.push(delivery));
        self.pump(key);
    }

    /// Sets the lane's `Due` timer to `at`, unless it fires earlier anyway.
    pub(super) fn schedule(&mut self, key: SubscriptionKey, at: BootMicros) {
        let next_due = &mut self.lanes[key].backlog.next_due;
        self.timers.set(next_due, key, TimerKind::Due, at);
    }

    /// Sets the lane's `Wake` timer to `at`, unless it fires earlier.
    pub(super) fn schedule_wake(&mut self, key: SubscriptionKey, at: BootMicros) {
        self.timers.set(&mut self.lanes[key].wake_at, key, TimerKind::Wake, at);
    }

    /// Handles the timers that are due. A timer is ignored if its lane was removed or opened again since the timer was set.
    pub(super) fn fire_timers(&mut self) {
        let now = self.clock.uptime();
        while let Some((at, key, kind)) = self.timers.pop(now) {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let timer = match kind {
                TimerKind::Due => &mut lane.backlog.next_due,
                TimerKind::Wake => &mut lane.wake_at,
            };
            match timer.take_if(|set| *set == at).map(|_| kind) {
                Some(TimerKind::Due) => self.on_due(key, now),
                Some(TimerKind::Wake) => self.pump(key),
                None => {}
            }
        }
    }

    /// Claims due retries, or probes. Retries are claimed even by a full lane, because they determine the receiver's
    /// health. There are seldom more retries than there were requests in flight at once.
    fn on_due(&mut self, key: SubscriptionKey, now: BootMicros) {
        let lane = &self.lanes[key];
        match lane.state {
            // Resuming the lane claims everything.
            _ if lane.is_paused() => {}
            LaneState::Open if self.is_stopping => {}
            LaneState::Open if lane.backlog.is_claiming => self.schedule(key, now.after(CLAIM_UNDER_WAY)),
            LaneState::Open => {
                let free = lane.free_deliveries(self.memory.lane_capacity(lane.is_fast()));
                let limit = free.max(lane.burst(lane.concurrency(self.options.concurrency)));
                if !self.try_claim(key, limit) {
                    self.schedule(key, now.after(MEMORY_FULL));
                }
            }
            LaneState::Tripped { .. } => self.probe_if_due(key),
            LaneState::Gone | LaneState::Disabled | LaneState::Deleted => {}
        }
    }

    /// Requests the list of subscriptions with waiting deliveries, after another process has written or times were corrected.
    pub(super) fn find_backlogs(&mut self) {
        self.spawn_write(read_backlogs, |(backlogs, changes)| WriteResult::Backlogs(backlogs, changes));
    }

    /// Finds the waiting deliveries at the start, before any event arrives, so that they are sent first.
    pub(super) async fn load_backlogs(&mut self) -> Result<(), Error> {
        self.external_changes.erasures = self.queue.erasures().await?;
        // The deliveries of earlier workers are not counted yet.
        self.census.is_stale = true;
        let (backlogs, changes) = read_backlogs(self.queue.clone()).await?;
        self.on_backlogs(&backlogs, changes);
        Ok(())
    }

    /// Handles the list of subscriptions with waiting deliveries. `changes` is the queue's count of changes of the subscriptions,
    /// which was read after the list.
    pub(super) fn on_backlogs(&mut self, backlogs: &[SubscriptionBacklog], changes: i64) {
        let is_catalog_empty = self.lanes.is_empty();
        if is_catalog_empty && !backlogs.is_empty() {
            tracing::warn!(
                subscriptions = backlogs.len(),
                "deliveries are queued, but the catalog has no subscriptions; the deliveries are kept; \
                 check that this is the right catalog"
            );
        }
        for backlog in backlogs {
            let key = backlog.sub;
            // Without a lane the subscription was deleted, unless its row is only invalid or the catalog is the wrong one.
            let Some(lane) = self.lanes.get_mut(&key) else {
                if !is_catalog_empty && !self.reload.is_row_invalid(&backlog.uuid) {
                    self.discard_unless_new(key, changes);
                }
                continue;
            };
            if backlog.queued {
                lane.backlog.rescan();
                self.refill(key);
            }
            if let Some(due) = backlog.next_due {
                self.schedule(key, self.clock.uptime_at(due));
            }
        }
    }

    /// Ends the deliveries of a subscription without a lane, which was deleted. While the worker lacks some of the changes of the
    /// subscriptions, it may be a new one, and the decision waits for the next reload.
    fn discard_unless_new(&mut self, key: SubscriptionKey, changes: i64) {
        let lacks_changes = self.freshness.lacks(changes);
        if lacks_changes {
            self.reload_unless_running();
        }
        if lacks_changes || !self.reload.is_current() {
            self.reload.finds_backlogs = true;
        } else {
            self.discard(key);
        }
    }
}

/// Returns the subscriptions with waiting deliveries, and then the queue's count of changes of the subscriptions.
async fn read_backlogs(queue: Queue) -> Result<(Vec<SubscriptionBacklog>, i64), queue::Error> {
    let backlogs = queue.backlogs().await?;
    Ok((backlogs, queue.catalog_changes().await?))
}

/// Makes a claimed delivery ready to be sent.
pub(super) fn ready(delivery: Delivery) -> ReadyDelivery {
    let source = match delivery {
        Delivery { was_retry: true, .. } => DeliverySource::Retry,
        Delivery { was_redelivery: true, .. } => DeliverySource::Redelivered,
        Delivery { .. } => DeliverySource::Queued,
    };
    let Delivery { id, attempts, free_attempts, event, rendered, .. } = delivery;
    ReadyDelivery { attempts, free_attempts, rendered, ..ReadyDelivery::new(id, event, source) }
}
