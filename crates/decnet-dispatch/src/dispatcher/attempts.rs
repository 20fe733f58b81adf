//! One attempt: start it when there is a slot, judge what it came to.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::delivery::{Outcome, Reason, RetrySchedule, Verdict, classify, counts_as_failed};
use decnet_core::event::BatchFormat;
use decnet_core::limits::{LANE_CAPACITY, LOCAL_FAULT_PAUSE};
use decnet_core::settings::Batch;
use decnet_core::time::UnixMicros;
use decnet_store::queue::SubscriptionKey;
use futures_util::FutureExt as _;

use super::{Dispatcher, Done};
use crate::clock;
use crate::lane::Lane;
use crate::members::{Held, Members};
use crate::sender::{Attempted, Message, Sender, Target, Timings};
use crate::slots::Slot;
use crate::spans::Span;
use crate::status::Status;

/// A reply that comes later does not prove its receiver.
const QUICK: Duration = Duration::from_secs(1);

/// An attempt that is over.
pub(super) struct Finished {
    key: SubscriptionKey,
    version: u64,
    members: Members,
    slot: Slot,
    probe: bool,
    started_at: UnixMicros,
    attempted: Attempted,
}

impl Dispatcher {
    /// Starts what the lane may start now.
    pub(super) fn pump(&mut self, key: SubscriptionKey) {
        while let Some(lane) = self.lanes.get_mut(&key)
            && lane.may_start(self.options.concurrency)
            && !self.stopping
        {
            if let Some(at) = lane.held_back_until() {
                self.wake(key, at);
                break;
            }
            match self.slots.take(lane.proven, lane.in_flight) {
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
                lane.may_start(self.options.concurrency) && lane.held_back_until().is_none()
            });
            if startable && !self.stopping {
                self.start_next(key, slot);
            } else {
                self.slots.release(slot);
            }
            // It may want another, or wait for something else now.
            self.pump(key);
        }
    }

    fn start_next(&mut self, key: SubscriptionKey, slot: Slot) {
        let members = self.lanes.get_mut(&key).and_then(Lane::pop);
        match members {
            Some(members) => self.start_attempt(key, members, slot, false),
            None => self.slots.release(slot),
        }
    }

    /// Sends one attempt, as a task that always comes back.
    pub(super) fn start_attempt(&mut self, key: SubscriptionKey, members: Members, slot: Slot, probe: bool) {
        let Some(lane) = self.lanes.get_mut(&key) else { return self.slots.release(slot) };
        lane.begin(&members);
        let (version, target) = (lane.version, lane.target());
        let format = lane.stored.settings.batch.map(Batch::format);
        let (sender, inbox, clock) = (self.sender.clone(), self.inbox.clone(), self.clock.clone());
        tokio::task::spawn_local(async move {
            let started_at = clock.wall();
            let attempted = send(&sender, &target, &members, format, started_at).await;
            inbox.put(Done::Finished(Finished { key, version, members, slot, probe, started_at, attempted }));
        });
    }

    /// Judges an attempt: what it says about the receiver, and the next state of each delivery.
    pub(super) fn finished(&mut self, finished: Finished) {
        let Finished { key, version, members, slot, probe, started_at, attempted } = finished;
        self.slots.release(slot);
        let (count, bytes) = (members.len(), members.bytes());
        let verdict = classify(&attempted.outcome);
        self.stats.attempts(verdict.reason()).add(1);
        if verdict == Verdict::Postpone {
            self.postpone(key, members, probe, &attempted);
            return self.pump_waiting();
        }
        self.memory.give(count, bytes);
        self.stats.attempt_time.observe_time(attempted.duration);
        if attempted.repeats > 0 {
            self.stats.repeats.add(attempted.repeats.into());
        }
        self.trace_attempt(key, &members, started_at, &attempted, &verdict);
        let undelivered = verdict != Verdict::Delivered;
        let schedule = self.schedule(key);
        let counts = |held: &Held| counts_as_failed(held.attempts_with_this(), &verdict, schedule);
        let failed = members.iter().any(counts);
        // Also while it is paused: it trips then too.
        if failed && let Some(lane) = self.lanes.get_mut(&key).filter(|lane| lane.status == Status::Open) {
            lane.told.keeps_trip = members.events().all(|event| event.operational);
        }
        self.learn(key, version, &verdict, &attempted, failed, probe);
        self.settle(key, members, &verdict, probe, started_at, attempted);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.end(count, bytes, undelivered);
            // It may wait for a slot as what it is no more, unproven or busier: it asks again.
            if let Some(place) = lane.waiting.take() {
                self.slots.leave(place);
            }
        }
        self.pump(key);
        self.pump_waiting();
    }

    /// Puts deliveries back that could not be sent for want of something on this host. Nothing was attempted, so they keep
    /// their retries and nothing is held against the receiver; the lane pauses, since the next request would fail alike.
    fn postpone(&mut self, key: SubscriptionKey, members: Members, probe: bool, attempted: &Attempted) {
        let detail = attempted.detail.as_deref().unwrap_or_default();
        self.local_faults.report(detail, Instant::now());
        let (count, bytes) = (members.len(), members.bytes());
        let Some(lane) = self.lanes.get_mut(&key) else { return self.memory.give(count, bytes) };
        lane.window.finished(&attempted.outcome, Duration::ZERO, lane.in_flight);
        lane.end(count, bytes, false);
        let now = self.clock.uptime();
        lane.tally.failed(now, detail);
        lane.put_back(members);
        lane.hold.by_host(now.after(LOCAL_FAULT_PAUSE.mul_f64(1.0 + 0.5 * clock::jitter())));
        let goes_on = lane.is_open();
        if let Some(place) = lane.waiting.take() {
            self.slots.leave(place);
        }
        if probe {
            self.probe_later(key);
        }
        if goes_on { self.pump(key) } else { self.give_up(key) }
    }

    /// When a lane's failed attempts are tried again: by its own schedule, or that of all.
    pub(super) fn schedule(&self, key: SubscriptionKey) -> &RetrySchedule {
        let own = self.lanes.get(&key).and_then(|lane| lane.stored.settings.retry_schedule.as_ref());
        own.unwrap_or(&self.options.schedule)
    }

    /// Tells whoever traces of an attempt: in the trace of each event that went with it.
    fn trace_attempt(
        &self,
        key: SubscriptionKey,
        members: &Members,
        started_at: UnixMicros,
        attempted: &Attempted,
        verdict: &Verdict,
    ) {
        let (Some(spans), Some(lane)) = (&self.options.spans, self.lanes.get(&key)) else { return };
        for held in members.iter() {
            spans.take(Span::attempt(lane, held, started_at, attempted, verdict));
        }
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
        // Not the whole of it: a connection that is made first takes long, however idle the receiver is.
        let latency = attempted.timings.first_byte.unwrap_or(attempted.duration);
        lane.window.finished(&attempted.outcome, latency, lane.in_flight);
        let was_fast = lane.is_fast();
        lane.answers = matches!(verdict, Verdict::Delivered | Verdict::Reject(Reason::BodyRefused));
        lane.proven = lane.answers && attempted.duration < QUICK;
        lane.backlog.impatient &= lane.answers;
        if let Verdict::Retry { after: Some(wait), .. } = verdict {
            self.defer(key, *wait);
        }
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let is_stuck = was_fast && !lane.is_fast() && lane.ready_len() > LANE_CAPACITY;
        if is_stuck {
            // What waits for it takes the room of those that could use it.
            self.give_up(key);
        }
        match verdict {
            Verdict::Delivered => self.succeeded(key),
            Verdict::Park(reason) => self.failed(key, attempted, Some(*reason)),
            Verdict::Reject(reason) if !reason.blames_receiver() => self.refused(key, attempted),
            _ if failed => self.failed(key, attempted, None),
            _ => {}
        }
        if probe {
            self.probed(key);
        }
    }
}

/// An attempt that panics is an attempt that failed: one bad event must not take the worker down.
async fn send(
    sender: &Sender,
    target: &Target,
    members: &Members,
    format: Option<BatchFormat>,
    started_at: UnixMicros,
) -> Attempted {
    let begun = Instant::now();
    let attempt = async {
        match format {
            None => {
                let Held { id, event, .. } = &members.first;
                let (delivery, attempt) = (id.number(), members.first.attempts_with_this());
                let message = Message { delivery, attempt, ..(&**event).into() };
                sender.send(target, message, started_at).await
            }
            // Boxed since its state would make every attempt larger.
            Some(format) => Box::pin(send_batch(sender, target, members, format, started_at)).await,
        }
    };
    AssertUnwindSafe(attempt).catch_unwind().await.unwrap_or_else(|_| Attempted {
        outcome: Outcome::Failed(Reason::Internal),
        detail: Some("internal: the attempt panicked; see the log".into()),
        reply: Bytes::new(),
        duration: begun.elapsed(),
        timings: Timings::default(),
        repeats: 0,
    })
}

async fn send_batch(
    sender: &Sender,
    target: &Target,
    members: &Members,
    format: BatchFormat,
    started_at: UnixMicros,
) -> Attempted {
    let event = format.unite(members.events());
    // Its members may have been tried differently often; the batch is an event of its own.
    let delivery = members.first.id.number();
    let attempt = members.iter().map(Held::attempts_with_this).max().unwrap_or(1);
    let message = Message { content_type: format.content_type(), delivery, attempt, ..Message::from(&event) };
    sender.send(target, message, started_at).await
}
