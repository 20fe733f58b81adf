//! What waits in the queue comes back into its lane: when there is room, when a retry is due, for a probe.

use std::time::Duration;

use decnet_core::limits::MAX_BODY_BYTES;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::queue::{Claimed, Delivery, SubscriptionKey, Waiting};

use super::{Dispatcher, Done, Error};
use crate::backlog::Queued;
use crate::lane::Lane;
use crate::members::{Held, Origin};
use crate::memory::Share;
use crate::status::Status;
use crate::timers::Kind;

/// When to look again for a retry that became due while a claim was under way.
const CLAIM_UNDER_WAY: Duration = Duration::from_millis(2);

/// When to look again for a retry that became due while memory was full.
const MEMORY_FULL: Duration = Duration::from_millis(100);

/// What a claim came back with.
pub(super) struct ClaimedFor {
    key: SubscriptionKey,
    share: Share,
    claimed: Claimed,
}

impl Dispatcher {
    /// Asks the queue for more, if the lane has little left and the queue may have something.
    pub(super) fn refill(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get(&key) else { return };
        if lane.backlog.queued == Queued::Nothing || lane.backlog.claiming || !lane.is_open() {
            return;
        }
        let capacity = self.memory.lane_capacity(lane.is_fast());
        if lane.ready_len() <= lane.low_water(capacity) {
            let room = lane.room(capacity);
            self.claim_if_room(key, room);
        }
    }

    /// Claims up to `deliveries` if memory has room for some; a lane with nothing in it waits for room. False if
    /// it is full.
    fn claim_if_room(&mut self, key: SubscriptionKey, deliveries: usize) -> bool {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| !lane.backlog.claiming) else { return true };
        let wanted = Share { deliveries, bytes: lane.room_bytes().max(MAX_BODY_BYTES) };
        let is_empty = lane.ready_len() == 0;
        let least = lane.burst(lane.window.allowed(lane.concurrency(self.options.concurrency)));
        if let Some(share) = self.memory.share(wanted, is_empty, least) {
            self.claim(key, share, self.clock.now());
            return true;
        }
        lane.backlog.look_everywhere();
        if is_empty && !std::mem::replace(&mut lane.backlog.hungry, true) {
            self.memory.wait(key);
        }
        false
    }

    /// Gives the lanes that wait for room in memory what there is.
    pub(super) fn feed(&mut self) {
        while let Some(key) = self.memory.next_hungry() {
            if let Some(lane) = self.lanes.get_mut(&key) {
                lane.backlog.hungry = false;
                self.refill(key);
            }
        }
    }

    /// Claims a share of what is due at `now`.
    pub(super) fn claim(&mut self, key: SubscriptionKey, share: Share, now: UnixMicros) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if lane.backlog.claiming || share.deliveries == 0 {
            return;
        }
        let claim = lane.claim(share, now);
        self.memory.reserve(share);
        let queue = self.queue.clone();
        let work = async move { queue.claim(claim).await };
        self.write(work, move |claimed| Done::Claimed(ClaimedFor { key, share, claimed }));
    }

    pub(super) fn claimed(&mut self, ClaimedFor { key, share, claimed }: ClaimedFor) {
        self.writes -= 1;
        self.memory.unreserve(share);
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.backlog.end_claim(&claimed);
        let was_cut = claimed.more && claimed.deliveries.last().is_some_and(|delivery| delivery.was_retry);
        // Where order counts, the line is held until all that is due is here.
        let now = (was_cut && lane.stored.settings.ordered).then(|| self.clock.uptime());
        if let Some(due) = now.or_else(|| claimed.next_due.map(|due| self.clock.uptime_at(due))) {
            self.look_again(key, due);
        }
        if self.lanes.get(&key).is_some_and(Lane::is_paused) {
            self.leave(key, !claimed.deliveries.is_empty());
            return self.probe_later(key);
        }
        match self.lanes.get(&key).map(|lane| lane.status) {
            Some(Status::Open) => self.take_in(key, claimed.deliveries),
            Some(Status::Tripped { probing: true, .. }) => self.probe_with(key, claimed.deliveries),
            _ => self.leave(key, !claimed.deliveries.is_empty()),
        }
    }

    fn take_in(&mut self, key: SubscriptionKey, deliveries: Vec<Delivery>) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let (retries, fresh): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| delivery.was_retry);
        for delivery in retries.iter().chain(&fresh) {
            self.memory.take(delivery.event.body.len());
        }
        lane.push_retries(retries.into_iter().map(held));
        fresh.into_iter().map(held).for_each(|held| lane.push(held));
        self.pump(key);
    }

    /// The lane closed meanwhile: what was claimed stays where it is.
    fn leave(&mut self, key: SubscriptionKey, some: bool) {
        if let Some(lane) = self.lanes.get_mut(&key).filter(|_| some) {
            lane.backlog.look_everywhere();
        }
    }

    /// Looks at the lane again at `at`, unless it does so earlier anyway.
    pub(super) fn look_again(&mut self, key: SubscriptionKey, at: BootMicros) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            self.timers.set(&mut lane.backlog.next_due, key, Kind::Due, at);
        }
    }

    /// Lets the lane go on at `at`, when its rate or its batch allows it.
    pub(super) fn wake(&mut self, key: SubscriptionKey, at: BootMicros) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            self.timers.set(&mut lane.wake_at, key, Kind::Wake, at);
        }
    }

    /// Claims what has become due. A timer of a lane that is gone, or came back since, counts for nothing.
    pub(super) fn fire_timers(&mut self) {
        let now = self.clock.uptime();
        while let Some((at, key, kind)) = self.timers.pop(now) {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let slot = match kind {
                Kind::Due => &mut lane.backlog.next_due,
                Kind::Wake => &mut lane.wake_at,
            };
            match slot.take_if(|set| *set == at).map(|_| kind) {
                Some(Kind::Due) => self.due(key, now),
                Some(Kind::Wake) => self.pump(key),
                None => {}
            }
        }
    }

    /// A retry is due. It goes in even where the lane is full: retries decide over a receiver's health, and
    /// there are seldom more of them than what was in flight at once.
    fn due(&mut self, key: SubscriptionKey, now: BootMicros) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        match lane.status {
            // Everything is looked at when it is resumed.
            _ if lane.is_paused() => {}
            Status::Open if self.stopping => {}
            Status::Open if lane.backlog.claiming => self.look_again(key, now.after(CLAIM_UNDER_WAY)),
            Status::Open => {
                let room = lane.room(self.memory.lane_capacity(lane.is_fast()));
                let limit = room.max(lane.burst(lane.concurrency(self.options.concurrency)));
                if !self.claim_if_room(key, limit) {
                    self.look_again(key, now.after(MEMORY_FULL));
                }
            }
            Status::Tripped { .. } => self.probe_if_due(key),
            Status::Gone | Status::Disabled | Status::Deleted => {}
        }
    }

    /// Asks which subscriptions have something in the queue: after a start, and when another process wrote.
    pub(super) fn look_for_waiting(&mut self) {
        let queue = self.queue.clone();
        self.write(async move { queue.waiting().await }, Done::Waiting);
    }

    /// The same at the start, before any event comes: what waits already goes first.
    pub(super) async fn look_for_waiting_first(&mut self) -> Result<(), Error> {
        self.erasures = self.queue.erasures().await?;
        let waiting = self.queue.waiting().await?;
        self.note_waiting(&waiting);
        Ok(())
    }

    pub(super) fn waiting(&mut self, waiting: &[Waiting]) {
        self.writes -= 1;
        self.note_waiting(waiting);
    }

    fn note_waiting(&mut self, waiting: &[Waiting]) {
        let is_empty = self.lanes.is_empty();
        if is_empty && !waiting.is_empty() {
            tracing::warn!(
                subscriptions = waiting.len(),
                "deliveries wait for subscriptions, and the catalog has none at all; is it the right one? They are kept"
            );
        }
        for entry in waiting {
            let Some(lane) = self.lanes.get_mut(&entry.sub) else {
                if !is_empty && !self.is_bad(&entry.uuid) {
                    self.forget(entry.sub);
                }
                continue;
            };
            if entry.queued {
                lane.backlog.look_everywhere();
                self.refill(entry.sub);
            }
            if let Some(due) = entry.next_due {
                self.look_again(entry.sub, self.clock.uptime_at(due));
            }
        }
    }
}

pub(super) fn held(delivery: Delivery) -> Held {
    let origin = match delivery {
        Delivery { was_retry: true, .. } => Origin::Retry,
        Delivery { was_redelivery: true, .. } => Origin::Redelivered,
        Delivery { .. } => Origin::Queued,
    };
    Held::new(delivery.id, delivery.attempts, delivery.event, origin)
}
