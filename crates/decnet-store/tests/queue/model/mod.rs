//! A model test: random operations on a queue, each compared with a simple model in memory.

mod check;
mod step;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Claim, Delivery, DeliveryId, Error, ExternalWriter, Queue, Recipient, Retention, Settlement,
    Submission, SubscriptionKey,
};
use proptest::prelude::*;
use proptest::sample::Index;

use self::step::{Fate, Step, step};
use super::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const SUBS: usize = 3;

/// The expected state of a delivery.
#[derive(Debug, Clone, PartialEq)]
struct Expected {
    sub: usize,
    event: usize,
    held: bool,
    redelivery: bool,
    state: State,
    attempts: u32,
    free_attempts: u32,
    settled_at: Option<UnixMicros>,
}

impl Expected {
    fn new(sub: usize, event: usize, held: bool, redelivery: bool) -> Self {
        Self {
            sub,
            event,
            held,
            redelivery,
            state: State::Pending,
            attempts: 0,
            free_attempts: 0,
            settled_at: None,
        }
    }
}

/// Events from this number on are submitted; earlier ones come from the bus.
const SUBMITTED: usize = 1000;

/// Returns the event with this number as it is sent.
fn numbered(n: usize) -> Event {
    if n < SUBMITTED {
        return event(n);
    }
    let Event { id, topic, .. } = event(n);
    Event::new(&id, &topic, "test", UnixMicros(0), &n.to_string()).unwrap()
}

fn submission(n: usize) -> Submission {
    let Event { id, topic, .. } = event(n);
    let payload = n.to_string().into();
    Submission { id: Some(id), topic, kind: "test".into(), at: Some(UnixMicros(0)), payload }
}

struct Model {
    dir: tempfile::TempDir,
    queue: Option<Queue>,
    keys: [SubscriptionKey; SUBS],
    deliveries: BTreeMap<DeliveryId, Expected>,
    /// All events ever submitted.
    submitted: Vec<usize>,
    /// The submitted events that are not admitted yet.
    unadmitted: Vec<usize>,
    now: UnixMicros,
}

impl Model {
    async fn new() -> Self {
        let (dir, queue, keys) = new_queue::<SUBS>().await;
        // `now` is ahead of the clock of the queue, so that every admission is before it.
        Self {
            dir,
            queue: Some(queue),
            keys,
            deliveries: BTreeMap::new(),
            submitted: vec![],
            unadmitted: vec![],
            now: now().after(HOUR),
        }
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    fn pick(&self, index: Index) -> Option<DeliveryId> {
        (!self.deliveries.is_empty())
            .then(|| *self.deliveries.keys().nth(index.index(self.deliveries.len())).unwrap())
    }

    fn pick_all(&self, indexes: &[Index]) -> Vec<DeliveryId> {
        indexes.iter().filter_map(|index| self.pick(*index)).collect()
    }

    async fn execute(&mut self, step: &Step) {
        match step {
            Step::Admit(batch) => self.admit(batch).await,
            Step::Submit(numbers) => self.submit(numbers),
            Step::ReadSubmitted { to, admit } => self.read_submitted(to, *admit).await,
            Step::Claim { sub, exclude, limit, max_bytes } => {
                let exclude = self.pick_all(exclude);
                self.claim(*sub, &exclude, *limit, *max_bytes).await;
            }
            Step::Settle(batch) => self.settle(batch).await,
            Step::Release(indexes) => {
                let ids = self.pick_all(indexes);
                self.queue().release(ids.clone()).await.unwrap();
                ids.iter().for_each(|id| self.deliveries.get_mut(id).unwrap().held = false);
            }
            Step::Redeliver(indexes) => self.redeliver(indexes),
            Step::Forget(sub) => {
                while self.queue().discard(self.keys[*sub], self.now).await.unwrap() {}
                self.give_up(*sub, Reason::Deleted);
            }
            Step::Retain { delivered_hours, dead_hours, parked, parked_at_once } => {
                let ages = (HOUR * u32::from(*delivered_hours), HOUR * u32::from(*dead_hours));
                self.retain(ages, *parked, *parked_at_once).await;
            }
            Step::Wait(hours) => self.now = self.now.after(HOUR * u32::from(*hours)),
            Step::Close => {
                self.queue.take().unwrap().close().await.unwrap();
                self.reopen();
            }
            Step::Drop => {
                self.queue = None;
                self.reopen();
            }
            Step::Kill => self.kill(),
        }
    }

    fn reopen(&mut self) {
        self.queue = Some(open(self.dir.path()));
        self.deliveries.values_mut().for_each(|delivery| delivery.held = false);
    }

    fn kill(&mut self) {
        let copy = tempfile::tempdir().unwrap();
        for name in ["queue.db", "queue.db-wal"] {
            std::fs::copy(self.dir.path().join(name), copy.path().join(name)).unwrap();
        }
        self.queue = None;
        self.dir = copy;
        self.reopen();
    }

    fn recipients(&self, to: &[(usize, bool)]) -> Vec<Recipient> {
        to.iter().map(|(sub, held)| Recipient::new(self.keys[*sub], *held)).collect()
    }

    async fn admit(&mut self, batch: &[(usize, Vec<(usize, bool)>)]) {
        let mut existing = event_ids(self.dir.path());
        let admissions = batch.iter().map(|(n, to)| Admission {
            event: event(*n).into(),
            to: self.recipients(to),
            submitted: None,
        });
        let admitted = self.queue().admit(admissions.collect()).await.unwrap();
        for (admitted, (n, to)) in admitted.iter().zip(batch) {
            let id = event(*n).id.into_string();
            assert_eq!(admitted.duplicate, existing.contains(&id), "an event is admitted once");
            if admitted.duplicate || to.is_empty() {
                continue;
            }
            existing.push(id);
            self.expect(*n, admitted.first, to);
        }
    }

    fn expect(&mut self, event: usize, first: DeliveryId, to: &[(usize, bool)]) {
        for (number, (sub, held)) in (0..).zip(to) {
            let delivery = Expected::new(*sub, event, *held, false);
            assert!(self.deliveries.insert(first.plus(number), delivery).is_none(), "ids are unique");
        }
    }

    fn submit(&mut self, numbers: &[usize]) {
        let events: Vec<_> = numbers.iter().map(|n| submission(*n)).collect();
        let mut writer = ExternalWriter::open(self.dir.path()).unwrap();
        let results = writer.submit_all(&[(&events, None)], now()).unwrap().remove(0).unwrap();
        for (result, n) in results.iter().zip(numbers) {
            assert_eq!(result.duplicate, self.submitted.contains(n), "an id is accepted once");
            if !result.duplicate {
                self.submitted.push(*n);
                self.unadmitted.push(*n);
            }
        }
    }

    async fn read_submitted(&mut self, to: &[(usize, bool)], admit: bool) {
        let submitted = self.queue().next_submitted().await.unwrap();
        let expected: Vec<Event> = self.unadmitted.iter().map(|n| numbered(*n)).collect();
        assert!(submitted.events.iter().map(|(_, event)| event).eq(&expected), "all submissions, in order");
        if !admit {
            return;
        }
        let admissions = submitted.events.into_iter().map(|(id, event)| Admission {
            event: event.into(),
            to: self.recipients(to),
            submitted: Some(id),
        });
        let admitted = self.queue().admit(admissions.collect()).await.unwrap();
        for (admitted, n) in admitted.iter().zip(std::mem::take(&mut self.unadmitted)) {
            assert!(!admitted.duplicate);
            self.expect(n, admitted.first, to);
        }
    }

    async fn claim(&self, sub: usize, exclude: &[DeliveryId], limit: usize, max_bytes: usize) {
        let excluded = exclude.iter().copied().collect();
        let what = Claim { exclude: excluded, limit, max_bytes, now: self.now, ..everything(self.keys[sub]) };
        let claimed = self.queue().claim(what.clone()).await.unwrap();
        let mine = || {
            self.deliveries
                .iter()
                .filter(|(id, delivery)| delivery.sub == sub && !delivery.held && !exclude.contains(id))
        };
        let due_at = |delivery: &Expected| match delivery.state {
            State::Retrying { due_at } => Some(due_at),
            _ => None,
        };
        let mut retries: Vec<_> =
            mine().filter_map(|(id, delivery)| Some((due_at(delivery)?, *id))).collect();
        retries.sort();
        let mut queued: Vec<_> = mine()
            .filter(|(_, delivery)| delivery.state == State::Pending)
            .map(|(id, delivery)| (delivery.redelivery, *id))
            .collect();
        queued.sort();
        let due = retries.iter().filter(|(at, _)| *at <= self.now).map(|(_, id)| *id);
        let wanted: Vec<_> = due.chain(queued.iter().map(|(_, id)| *id)).collect();
        let sizes = wanted.iter().map(|id| numbered(self.deliveries[id].event).body.len());
        let before = sizes.scan(0, |bytes, size| Some(std::mem::replace(bytes, *bytes + size)));
        let within = before.take_while(|before| *before < max_bytes).count();
        let fits = within.min(limit);
        assert_eq!(ids(&claimed.deliveries), wanted[..fits], "due deliveries, in order, within bounds");
        assert_eq!(claimed.more, fits < wanted.len());
        assert_eq!(claimed.next_due, retries.iter().map(|(at, _)| *at).find(|at| *at > self.now));
        for claimed in &claimed.deliveries {
            let delivery = &self.deliveries[&claimed.id];
            let attempts = (delivery.attempts, delivery.free_attempts);
            assert_eq!((claimed.attempts, claimed.free_attempts), attempts);
            assert_eq!(claimed.was_retry, due_at(delivery).is_some());
            assert_eq!(*claimed.event, numbered(delivery.event));
        }
        // A claim that continues after this one returns the rest, even if nothing is settled in between.
        let would_repeat = |delivery: &&Delivery| claimed.up_to.is_none() || delivery.was_retry;
        let mut rest = Claim { after: claimed.up_to, limit: usize::MAX, max_bytes: usize::MAX, ..what };
        rest.exclude.extend(claimed.deliveries.iter().filter(would_repeat).map(|delivery| delivery.id));
        let rest = self.queue().claim(rest).await.unwrap();
        assert_eq!(ids(&rest.deliveries), wanted[fits..], "the rest, in order");
    }

    async fn settle(&mut self, batch: &[(Index, i8, Fate)]) {
        let mut settlements = Vec::new();
        let mut expected = Vec::new();
        for (index, turn, fate) in batch {
            let Some(id) = self.pick(*index) else { return };
            let delivery = self.deliveries.get_mut(&id).unwrap();
            let number = delivery.attempts.saturating_add_signed(i32::from(*turn) + 1);
            let state = match fate {
                Fate::Delivered => State::Delivered,
                Fate::Retry { hours, .. } => {
                    State::Retrying { due_at: self.now.after(HOUR * u32::from(*hours)) }
                }
                Fate::Dead => State::Dead { reason: Reason::Refused },
            };
            let is_free = matches!(fate, Fate::Retry { is_free: true, .. });
            let settlement = Settlement { is_free, ..settlement(id, number, self.now, state) };
            let applies = number == delivery.attempts + 1 && !delivery.state.is_final();
            if applies {
                let ended_at = self.now.after(settlement.attempt.duration);
                let settled_at = (!matches!(state, State::Retrying { .. })).then_some(ended_at);
                let free_attempts = delivery.free_attempts + u32::from(is_free);
                *delivery = Expected {
                    held: false,
                    state,
                    attempts: number,
                    free_attempts,
                    settled_at,
                    ..delivery.clone()
                };
            }
            expected.push(applies);
            settlements.push(settlement);
        }
        assert_eq!(self.queue().settle(settlements).await.unwrap(), expected);
    }

    fn redeliver(&mut self, indexes: &[Index]) {
        let ids = self.pick_all(indexes);
        let again = redeliver(self.dir.path(), &ids);
        let unfinished = ids.iter().find(|id| !self.deliveries[id].state.is_final()).copied();
        let Ok(again) = again else {
            return assert!(matches!(again, Err(Error::NotFinal(id)) if Some(id) == unfinished));
        };
        assert_eq!((again.len(), unfinished), (ids.len(), None));
        for (id, again) in ids.iter().zip(again) {
            let delivery = Expected::new(self.deliveries[id].sub, self.deliveries[id].event, false, true);
            assert_eq!(again.seq(), id.seq());
            assert!(self.deliveries.insert(again, delivery).is_none(), "ids are unique");
        }
    }

    /// Makes every delivery that waits for a subscription dead.
    fn give_up(&mut self, sub: usize, reason: Reason) {
        for delivery in self.deliveries.values_mut().filter(|delivery| delivery.sub == sub && !delivery.held)
        {
            if matches!(delivery.state, State::Pending | State::Retrying { .. }) {
                *delivery = Expected {
                    state: State::Dead { reason },
                    settled_at: Some(self.now),
                    ..delivery.clone()
                };
            }
        }
    }

    async fn retain(&mut self, ages: (Duration, Duration), parked: Option<usize>, parked_at_once: bool) {
        let policy = Retention {
            delivered_age: ages.0,
            dead_age: ages.1,
            parked_age: if parked_at_once { Duration::ZERO } else { 100_000 * HOUR },
            max_bytes: u64::MAX,
            parked: Arc::new(parked.map(|sub| self.keys[sub]).into_iter().collect()),
        };
        while self.queue().prune(policy.clone(), self.now).await.unwrap().more {}
        let now = self.now;
        let old = |delivery: &Expected, age| delivery.settled_at.is_some_and(|at| at.after(age) < now);
        self.deliveries.retain(|_, delivery| match delivery.state {
            State::Delivered => !old(delivery, ages.0),
            State::Dead { .. } => !old(delivery, ages.1),
            _ => true,
        });
        if let Some(sub) = parked
            && parked_at_once
        {
            self.give_up(sub, Reason::Expired);
        }
    }
}

fn event_ids(dir: &Path) -> Vec<String> {
    let conn = sqlite(dir);
    let mut all = conn.prepare("SELECT id FROM events").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_match_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut model = Model::new().await;
            for step in &steps {
                model.execute(step).await;
                model.check();
                model.check_backlogs().await;
            }
            model.check_attempts();
        });
    }
}
