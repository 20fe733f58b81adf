//! What an attempt came to is written: many settlements in one commit.

use decnet_core::delivery::{Outcome, State, Verdict, advance};
use decnet_core::event::Event;
use decnet_core::limits::{MAX_UNSETTLED, SETTLE_DELAY};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_store::queue::{Attempt, DeliveryId, Settlement, SubscriptionKey};
use tokio::time::Instant;

use super::{Dispatcher, Done};
use crate::clock;
use crate::members::{Held, Members, Origin};
use crate::sender::Attempted;
use crate::told::Deaths;

/// What to do once a settlement is committed.
pub(super) struct Settling {
    key: SubscriptionKey,
    id: DeliveryId,
    origin: Origin,
    state: State,
    /// If it is given up, and that is worth a word.
    death: Option<Box<Deaths>>,
}

/// Settlements that are committed; where not applied, they came too late.
pub(super) struct Settled {
    settling: Vec<Settling>,
    applied: Vec<bool>,
}

impl Dispatcher {
    /// Names the next state of each delivery that went with an attempt. Those that fail alike are due at the same
    /// time, so that one claim brings them all. The attempt has ended by the wall clock, the next one is due by the worker's own.
    pub(super) fn settle(
        &mut self,
        key: SubscriptionKey,
        members: Members,
        verdict: &Verdict,
        probe: bool,
        started_at: UnixMicros,
        attempted: Attempted,
    ) {
        let fate = verdict.of_member(members.len());
        let fate = if probe { fate.of_probe() } else { fate };
        let (ended_at, now) = (started_at.after(attempted.duration), self.clock.now());
        let jitter = clock::jitter();
        let attempt = attempt(started_at, verdict, attempted);
        let Members { first, rest } = members;
        // Of one that goes alone, nothing is copied.
        for held in rest {
            self.settle_one(key, &held, attempt.clone(), &fate, (ended_at, now), jitter);
        }
        self.settle_one(key, &first, attempt, &fate, (ended_at, now), jitter);
        if self.settlements.len() >= MAX_UNSETTLED {
            self.submit_settlements();
        }
    }

    fn settle_one(
        &mut self,
        key: SubscriptionKey,
        held: &Held,
        attempt: Attempt,
        fate: &Verdict,
        (ended_at, now): (UnixMicros, UnixMicros),
        jitter: f64,
    ) {
        let number = held.attempts_with_this();
        let state = advance(number, fate, self.schedule(key), now, jitter);
        if state == State::Delivered {
            self.stats.delivery_time.observe_time(ended_at.since(held.event.at));
        }
        self.settle_later(key, held, Attempt { number, ..attempt }, state);
    }

    fn settle_later(&mut self, key: SubscriptionKey, held: &Held, attempt: Attempt, state: State) {
        let settling = Settling { key, id: held.id, origin: held.origin, state, death: death(held, state) };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.settling += 1;
            lane.backlog.failing += usize::from(settling.due_at().is_some());
        }
        self.settling.push(settling);
        self.settlements.push(Settlement { id: held.id, attempt, state });
        if self.settle_by.is_none() {
            self.settle_by = Some(Instant::now() + SETTLE_DELAY);
        }
    }

    /// One write for all that finished in a moment: nobody waits for it, and each write has its price.
    pub(super) fn settle_if_due(&mut self) {
        let is_due = |at| self.stopping || at <= Instant::now();
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
            let due_at = entry.due_at();
            if applied {
                self.stats.count(&entry.state);
            }
            if let Some(lane) = self.lanes.get_mut(&entry.key) {
                lane.settling -= 1;
                lane.backlog.failing -= usize::from(due_at.is_some());
                lane.unclaim(entry.id, entry.origin);
                lane.tally.settled(entry.origin, &entry.state, applied);
                // Another process has changed it, before or after it was counted last.
                self.watch.is_stale |= !applied;
                // It waits in the queue again, where it waited before.
                if entry.state == State::Pending {
                    lane.backlog.look_everywhere();
                    self.refill(entry.key);
                }
            }
            if let Some(death) = entry.death.filter(|_| applied) {
                self.tell_dead(entry.key, *death);
            }
            if let Some(due) = due_at {
                // What came too late has no retry of its own, but whatever waits behind it must go on.
                let due = if applied { self.clock.uptime_at(due) } else { BootMicros(0) };
                self.look_again(entry.key, due);
            }
        }
    }
}

impl Settling {
    /// When its next attempt is due, if it gets one.
    fn due_at(&self) -> Option<UnixMicros> {
        if let State::Retrying { due_at } = self.state { Some(due_at) } else { None }
    }
}

/// What is reported of a delivery that is given up, unless its event is an operational one.
fn death(held: &Held, state: State) -> Option<Box<Deaths>> {
    let State::Dead { reason } = state else { return None };
    let Event { id, topic, .. } = &*held.event;
    let death = || Box::new(Deaths { count: 1, reason, event_id: id.clone(), topic: topic.clone() });
    (!held.event.operational).then(death)
}

/// Still without its number, which is each member's own.
fn attempt(started_at: UnixMicros, verdict: &Verdict, attempted: Attempted) -> Attempt {
    let status = match attempted.outcome {
        Outcome::Replied { status, .. } => Some(status),
        Outcome::Failed(_) | Outcome::LocalFault => None,
    };
    let reason = verdict.reason();
    let Attempted { detail, reply, duration, timings, repeats, .. } = attempted;
    let repeats = repeats.into();
    Attempt { number: 0, started_at, duration, status, reason, detail, reply, timings, repeats }
}

#[cfg(test)]
mod tests {
    use super::super::tests::started;
    use super::*;

    /// It was given up by another process, and counted as dead before its request was over.
    #[tokio::test]
    async fn what_came_too_late_is_counted_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let key = *dispatcher.lanes.keys().next().unwrap();
        let lane = dispatcher.lanes.get_mut(&key).unwrap();
        lane.tally.admitted(true);
        lane.tally.mark();
        lane.tally.counted(0, 1, false);
        lane.settling += 1;
        (dispatcher.writes, dispatcher.watch.is_stale) = (1, false);
        let id = "1.0".parse().unwrap();
        let settling = Settling { key, id, origin: Origin::Admitted, state: State::Delivered, death: None };
        dispatcher.settled(Settled { settling: vec![settling], applied: vec![false] });
        assert!(dispatcher.watch.is_stale);
        let lane = dispatcher.lanes.get_mut(&key).unwrap();
        lane.tally.mark();
        lane.tally.counted(0, 1, false);
        assert_eq!(lane.tally.waiting(), 0);
    }
}
