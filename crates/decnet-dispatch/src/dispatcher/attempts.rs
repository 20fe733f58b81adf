//! One attempt: start it when there is a slot, judge what it came to, settle it.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Reason, State, Verdict, advance, classify, counts_as_failed};
use decnet_core::event::Event;
use decnet_core::limits::{LANE_CAPACITY, MAX_UNSETTLED, SETTLE_DELAY};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Attempt, DeliveryId, Settlement, SubscriptionKey};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::{Dispatcher, Done};
use crate::clock;
use crate::lane::{Held, Lane, Origin};
use crate::sender::{Attempted, Sender, Target, Timings};
use crate::slots::Slot;

/// A reply that comes later does not prove its receiver.
const QUICK: Duration = Duration::from_secs(1);

/// An attempt that is over.
pub(super) struct Finished {
    key: SubscriptionKey,
    version: u64,
    held: Held,
    slot: Slot,
    probe: bool,
    started_at: UnixMicros,
    attempted: Attempted,
}

/// What to do once a settlement is committed.
pub(super) struct Settling {
    key: SubscriptionKey,
    id: DeliveryId,
    origin: Origin,
    due_at: Option<UnixMicros>,
    /// It waits in the queue again, where it waited before.
    requeued: bool,
}

/// Settlements that are committed; where not applied, they came too late.
pub(super) struct Settled {
    settling: Vec<Settling>,
    applied: Vec<bool>,
}

impl Dispatcher {
    /// Starts what the lane may start now.
    pub(super) fn pump(&mut self, key: SubscriptionKey) {
        while let Some(lane) = self.lanes.get_mut(&key)
            && lane.may_start(self.options.concurrency)
            && !self.stopping
        {
            if let Some(at) = lane.stored.settings.rate.and_then(|_| lane.paced_until(clock::now())) {
                self.wake(key, at);
                break;
            }
            match self.slots.take(lane.proven) {
                Some(slot) => self.start_next(key, slot),
                None => lane.waiting = Some(self.slots.wait(key, lane.proven, lane.in_flight)),
            }
        }
        self.refill(key);
    }

    /// Gives freed slots to the lanes that wait for one.
    fn pump_waiting(&mut self) {
        while let Some((key, slot)) = self.slots.next() {
            let startable = self.lanes.get_mut(&key).is_some_and(|lane| {
                lane.waiting = None;
                lane.may_start(self.options.concurrency) && lane.paced_until(clock::now()).is_none()
            });
            if startable && !self.stopping {
                self.start_next(key, slot);
                self.pump(key);
            } else {
                self.slots.release(slot);
            }
        }
    }

    fn start_next(&mut self, key: SubscriptionKey, slot: Slot) {
        let held = self.lanes.get_mut(&key).and_then(Lane::pop);
        match held {
            Some(held) => self.start_attempt(key, held, slot, false),
            None => self.slots.release(slot),
        }
    }

    /// Sends one attempt, as a task that always comes back.
    pub(super) fn start_attempt(&mut self, key: SubscriptionKey, held: Held, slot: Slot, probe: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return self.slots.release(slot) };
        lane.in_flight += 1;
        let (version, target) = (lane.version, lane.target());
        let (sender, inbox) = (self.sender.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            let started_at = clock::now();
            let attempted = send(&sender, &target, &held.event, started_at).await;
            inbox.put(Done::Finished(Finished { key, version, held, slot, probe, started_at, attempted }));
        });
    }

    /// Judges an attempt: the delivery's next state, and what it says about the receiver.
    pub(super) fn finished(&mut self, finished: Finished) {
        let Finished { key, version, held, slot, probe, started_at, attempted } = finished;
        self.slots.release(slot);
        self.memory.give(1, held.event.body.len());
        let verdict = classify(&attempted.outcome);
        let attempts = held.attempts.saturating_add(1);
        let now = started_at.after(attempted.duration);
        let fate = if probe { &verdict.of_probe() } else { &verdict };
        let state = advance(attempts, fate, &self.options.schedule, now, clock::jitter());
        let failed = counts_as_failed(attempts, &verdict, &self.options.schedule);
        self.stats.count(&state);
        self.learn(key, version, &verdict, &attempted, failed, probe);
        self.settle_later(key, &held, attempt(attempts, started_at, &verdict, attempted), state);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.in_flight -= 1;
        }
        self.pump(key);
        self.pump_waiting();
    }

    /// What a result says about its receiver, unless the row has changed since the attempt started.
    fn learn(
        &mut self,
        key: SubscriptionKey,
        version: u64,
        verdict: &Verdict,
        attempted: &Attempted,
        failed: bool,
        probe: bool,
    ) {
        let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.version == version) else { return };
        let was_fast = lane.is_fast();
        lane.answers = matches!(verdict, Verdict::Delivered | Verdict::Reject(Reason::BodyRefused));
        lane.proven = lane.answers && attempted.duration < QUICK;
        lane.backlog.impatient &= lane.answers;
        let is_stuck = was_fast && !lane.is_fast() && lane.ready_len() > LANE_CAPACITY;
        // It may wait among the unproven ones still, or the other way round: it asks again.
        if let Some(place) = lane.waiting.take() {
            self.slots.leave(place);
        }
        if is_stuck {
            // What waits for it takes the room of those that could use it.
            self.give_up(key);
        }
        match verdict {
            Verdict::Delivered => self.succeeded(key),
            Verdict::Park(reason) => self.failed(key, attempted, Some(*reason)),
            Verdict::Reject(reason) if !reason.blames_receiver() => self.answered(key),
            _ if failed => self.failed(key, attempted, None),
            _ => {}
        }
        if probe {
            self.probed(key);
        }
    }

    fn settle_later(&mut self, key: SubscriptionKey, held: &Held, attempt: Attempt, state: State) {
        let due_at = if let State::Retrying { due_at } = state { Some(due_at) } else { None };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.settling += 1;
            lane.backlog.failing += usize::from(due_at.is_some());
        }
        self.settling.push(Settling {
            key,
            id: held.id,
            origin: held.origin,
            due_at,
            requeued: state == State::Pending,
        });
        self.settlements.push(Settlement { id: held.id, attempt, state });
        if self.settle_by.is_none() {
            self.settle_by = Some(Instant::now() + SETTLE_DELAY);
        }
    }

    /// One write for all that finished in a moment: nobody waits for it, and each write has its price.
    pub(super) fn settle_if_due(&mut self) {
        let is_due = |at| self.settlements.len() >= MAX_UNSETTLED || self.stopping || at <= Instant::now();
        if self.settle_by.is_some_and(is_due) {
            self.submit_settlements();
        }
    }

    pub(super) fn submit_settlements(&mut self) {
        self.settle_by = None;
        if self.settlements.is_empty() {
            return;
        }
        let (batch, settling) = (std::mem::take(&mut self.settlements), std::mem::take(&mut self.settling));
        let queue = self.queue.clone();
        let work = async move { queue.settle(batch).await };
        self.write(work, move |applied| Done::Settled(Settled { settling, applied }));
    }

    pub(super) fn settled(&mut self, Settled { settling, applied }: Settled) {
        self.writes -= 1;
        for (entry, applied) in settling.into_iter().zip(applied) {
            if let Some(lane) = self.lanes.get_mut(&entry.key) {
                lane.settling -= 1;
                lane.backlog.failing -= usize::from(entry.due_at.is_some());
                lane.unclaim(entry.id, entry.origin);
                if entry.requeued {
                    lane.backlog.look_everywhere();
                    self.refill(entry.key);
                }
            }
            if let Some(due) = entry.due_at {
                // What came too late has no retry of its own, but whatever waits behind it must go on.
                self.look_again(entry.key, if applied { due } else { clock::now() });
            }
        }
    }
}

/// An attempt that panics is an attempt that failed: one bad event must not take the worker down.
async fn send(sender: &Sender, target: &Target, event: &Event, started_at: UnixMicros) -> Attempted {
    AssertUnwindSafe(sender.send(target, event, started_at)).catch_unwind().await.unwrap_or_else(|_| {
        Attempted {
            outcome: Outcome::Failed(Reason::Internal),
            detail: Some("internal: the attempt panicked; see the log".into()),
            reply: Bytes::new(),
            duration: clock::now().since(started_at),
            timings: Timings::default(),
        }
    })
}

fn attempt(number: u32, started_at: UnixMicros, verdict: &Verdict, attempted: Attempted) -> Attempt {
    let status = match attempted.outcome {
        Outcome::Replied { status, .. } => Some(status),
        Outcome::Failed(_) => None,
    };
    let reason = match *verdict {
        Verdict::Delivered => None,
        Verdict::Retry { reason, .. } | Verdict::Reject(reason) | Verdict::Park(reason) => Some(reason),
    };
    let Attempted { detail, reply, duration, .. } = attempted;
    Attempt { number, started_at, duration, status, reason, detail, reply }
}
