//! Writes the results of attempts, many in one commit.

use decnet_core::delivery::{Rendered, State, Verdict, advance};
use decnet_core::event::Event;
use decnet_core::limits::{MAX_SETTLE_BATCH, MAX_SETTLE_DELAY};
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_format::Judgement;
use decnet_store::queue::{Attempt, DeliveryId, Settlement, SubscriptionKey};
use tokio::time::Instant;

use super::Dispatcher;
use super::attempts::SentRequest;
use super::writes::WriteResult;
use crate::notice_throttle::DeadLetterSummary;
use crate::request_batch::{DeliverySource, ReadyDelivery, RequestBatch};
use decnet_runtime::clock;
use decnet_sender::AttemptResult;

/// The settlements that wait to be written together. No caller waits for a settlement, and each commit has a cost.
#[derive(Debug, Default)]
pub(super) struct SettlementBuffer {
    settlements: Vec<Settlement>,
    /// The effect of each settlement, in the same order.
    effects: Vec<Effect>,
    /// The time at which the settlements are to be written, if there are any.
    pub(super) due_at: Option<Instant>,
}

/// The effect of a settlement on its lane, once it is committed.
#[derive(Debug)]
pub(super) struct Effect {
    key: SubscriptionKey,
    id: DeliveryId,
    source: DeliverySource,
    state: State,
    /// The dead letter to report, if the delivery is dead.
    dead: Option<Box<DeadLetterSummary>>,
}

/// The result of an attempt that is common to all deliveries of its request.
struct RequestSettlement {
    key: SubscriptionKey,
    is_probe: bool,
    /// The rendering of the request, if it was rendered.
    rendered: Option<Rendered>,
    /// The number of events on which one verdict was given.
    events_per_verdict: usize,
    /// The end of the attempt by the wall clock.
    ended_at: UnixMicros,
    /// The end of the attempt by the worker's time, from which retries are due.
    now: UnixMicros,
    jitter: f64,
}

impl SettlementBuffer {
    fn push(&mut self, settlement: Settlement, effect: Effect) {
        self.settlements.push(settlement);
        self.effects.push(effect);
        self.due_at.get_or_insert_with(|| Instant::now() + MAX_SETTLE_DELAY);
    }

    fn take(&mut self) -> (Vec<Settlement>, Vec<Effect>) {
        self.due_at = None;
        (std::mem::take(&mut self.settlements), std::mem::take(&mut self.effects))
    }
}

impl Dispatcher {
    /// Settles each delivery of a request. All deliveries that are to be retried are due at the same time, so that one claim
    /// returns them.
    pub(super) fn settle(&mut self, request: SentRequest, result: AttemptResult, judgement: &Judgement) {
        let SentRequest { key, batch, is_probe, started_at, destination, .. } = request;
        let Judgement { whole, members, .. } = judgement;
        let common = RequestSettlement {
            key,
            is_probe,
            rendered: destination.map(|destination| Rendered {
                rendering: destination.rendering().clone(),
                body_hash: result.body_hash,
            }),
            events_per_verdict: if members.is_empty() { batch.len() } else { 1 },
            ended_at: started_at.after(result.duration),
            now: self.clock.now(),
            jitter: clock::jitter(),
        };
        let attempt = attempt(started_at, result);
        let RequestBatch { first, rest } = batch;
        let verdict_on = |event: usize| members.get(event).unwrap_or(whole);
        // The attempt of a single delivery is not cloned.
        for (event, delivery) in (1..).zip(rest) {
            self.settle_one(&common, &delivery, verdict_on(event), attempt.clone());
        }
        self.settle_one(&common, &first, verdict_on(0), attempt);
        if self.settlement.settlements.len() >= MAX_SETTLE_BATCH {
            self.flush_settlements();
        }
    }

    fn settle_one(
        &mut self,
        common: &RequestSettlement,
        delivery: &ReadyDelivery,
        verdict: &Verdict,
        attempt: Attempt,
    ) {
        let RequestSettlement { key, is_probe, rendered, events_per_verdict, ended_at, now, jitter } = common;
        let (number, fate) = (delivery.attempt_number(), verdict.fate(*is_probe, *events_per_verdict));
        let state = advance(delivery.counted_attempts(), &fate, self.retry_schedule(*key), *now, *jitter);
        if state == State::Delivered {
            self.stats.times.delivery.observe_time(ended_at.since(delivery.event.at));
        }
        let ReadyDelivery { id, source, .. } = *delivery;
        let effect = Effect { key: *key, id, source, state, dead: dead_letter(delivery, state) };
        let lane = &mut self.lanes[*key];
        lane.settling += 1;
        lane.backlog.uncommitted_retries += usize::from(effect.retry_at().is_some());
        let attempt = Attempt { number, reason: verdict.reason(), ..attempt };
        let rendered = rendered.clone();
        self.settlement.push(Settlement { id, attempt, state, is_free: fate.is_free(), rendered }, effect);
    }

    /// Writes the settlements if they are due.
    pub(super) fn settle_if_due(&mut self) {
        let is_due = |at| self.is_stopping || at <= Instant::now();
        if self.settlement.due_at.is_some_and(is_due) {
            self.flush_settlements();
        }
    }

    /// Writes the settlements, if there are any.
    pub(super) fn flush_settlements(&mut self) {
        let (settlements, effects) = self.settlement.take();
        if settlements.is_empty() {
            return;
        }
        self.spawn_write(
            async move |queue| queue.settle(settlements).await,
            move |applied| WriteResult::Settled(effects, applied),
        );
    }

    pub(super) fn on_settled(&mut self, effects: Vec<Effect>, applied: Vec<bool>) {
        for (effect, applied) in effects.into_iter().zip(applied) {
            self.apply_effect(effect, applied);
        }
    }

    fn apply_effect(&mut self, effect: Effect, applied: bool) {
        let Effect { key, id, source, state, .. } = effect;
        let retry_at = effect.retry_at();
        if applied {
            self.stats.count_settled(&state);
        }
        let lane = &mut self.lanes[key];
        lane.settling -= 1;
        lane.backlog.uncommitted_retries -= usize::from(retry_at.is_some());
        lane.claimed.release(id, source);
        lane.metrics.count_settled(source, &state, applied);
        // Another process has changed the delivery, perhaps after the last census.
        self.census.is_stale |= !applied;
        // The delivery waits in the queue again, in its old position.
        if state == State::Pending {
            lane.backlog.rescan();
            self.refill(key);
        }
        if let Some(dead) = effect.dead.filter(|_| applied) {
            self.emit_dead(key, *dead);
        }
        if let Some(at) = retry_at {
            // A delivery that was not settled has no retry, but an ordered lane must continue with the deliveries behind it.
            let waits = applied && !self.lanes[key].backlog.ignores_due_times;
            self.schedule(key, if waits { self.clock.uptime_at(at) } else { BootMicros(0) });
        }
    }
}

impl Effect {
    /// Returns the time at which the next attempt is due, if there is one.
    fn retry_at(&self) -> Option<UnixMicros> {
        if let State::Retrying { due_at } = self.state { Some(due_at) } else { None }
    }
}

/// Returns the dead letter to report, unless the event is an operational event.
fn dead_letter(delivery: &ReadyDelivery, state: State) -> Option<Box<DeadLetterSummary>> {
    let Event { id, topic, operational, .. } = &*delivery.event;
    let (State::Dead { reason }, false) = (state, *operational) else { return None };
    Some(Box::new(DeadLetterSummary { count: 1, reason, event_id: id.clone(), topic: topic.clone() }))
}

/// Creates the record of an attempt. Its number and its reason are set for each delivery.
fn attempt(started_at: UnixMicros, result: AttemptResult) -> Attempt {
    let status = result.outcome.status();
    let AttemptResult { detail, reply, duration, timings, repeats, .. } = result;
    let repeats = repeats.into();
    Attempt { number: 0, started_at, duration, status, reason: None, detail, reply, timings, repeats }
}

#[cfg(test)]
mod tests {
    use super::super::tests::started;
    use super::*;

    /// Another process has ended the delivery during its request, and a census has counted it as dead.
    #[tokio::test]
    async fn late_settlement_leads_to_another_census() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let key = dispatcher.lanes.values().next().unwrap().key;
        let lane = &mut dispatcher.lanes[key];
        lane.metrics.count_admitted(true);
        lane.metrics.start_census();
        lane.metrics.apply_census(0, 1, false);
        lane.settling += 1;
        dispatcher.census.is_stale = false;
        let id = "1.0".parse().unwrap();
        let effect =
            Effect { key, id, source: DeliverySource::Admitted, state: State::Delivered, dead: None };
        dispatcher.on_settled(vec![effect], vec![false]);
        assert!(dispatcher.census.is_stale);
        let lane = &mut dispatcher.lanes[key];
        lane.metrics.start_census();
        lane.metrics.apply_census(0, 1, false);
        assert_eq!(lane.metrics.waiting(), 0);
    }
}
