//! Random lives of a queue, step by step beside a model that is plain enough to be believed.

mod step;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Active, Admission, Claim, Delivery, DeliveryId, Error, Operator, Queue, Reader, Recipient, Retention,
    Submission, SubscriptionKey, Waiting,
};
use proptest::prelude::*;
use proptest::sample::Index;

use self::step::{Fate, Step, step};
use super::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const SUBS: usize = 3;

/// A delivery, as it should be.
#[derive(Debug, Clone, PartialEq)]
struct Owed {
    sub: usize,
    event: usize,
    held: bool,
    redelivery: bool,
    state: State,
    attempts: u32,
    settled_at: Option<UnixMicros>,
}

impl Owed {
    fn new(sub: usize, event: usize, held: bool, redelivery: bool) -> Self {
        Self { sub, event, held, redelivery, state: State::Pending, attempts: 0, settled_at: None }
    }
}

/// Events from this number on are submitted, those before are published.
const SUBMITTED: usize = 1000;

/// The event with this number, as it is sent.
fn numbered(n: usize) -> Event {
    if n < SUBMITTED {
        return event(n);
    }
    let of = event(n);
    Event::new(&of.id, &of.topic, "test", UnixMicros(0), &n.to_string()).unwrap()
}

fn submission(n: usize) -> Submission {
    let of = event(n);
    let payload = n.to_string().into();
    Submission { id: Some(of.id), topic: of.topic, kind: "test".into(), at: Some(UnixMicros(0)), payload }
}

struct World {
    dir: tempfile::TempDir,
    queue: Option<Queue>,
    keys: Vec<SubscriptionKey>,
    owed: BTreeMap<DeliveryId, Owed>,
    /// What was ever submitted, and what of it waits to be admitted.
    submitted: Vec<usize>,
    waiting: Vec<usize>,
    now: UnixMicros,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path());
        let keys = subscriptions(&queue, SUBS).await;
        // Ahead of the clock with which the queue stamps admissions: everything is admitted before `now`.
        Self {
            dir,
            queue: Some(queue),
            keys,
            owed: BTreeMap::new(),
            submitted: vec![],
            waiting: vec![],
            now: now().after(HOUR),
        }
    }

    fn queue(&self) -> &Queue {
        self.queue.as_ref().unwrap()
    }

    fn pick(&self, index: Index) -> Option<DeliveryId> {
        (!self.owed.is_empty()).then(|| *self.owed.keys().nth(index.index(self.owed.len())).unwrap())
    }

    fn pick_all(&self, indexes: &[Index]) -> Vec<DeliveryId> {
        indexes.iter().filter_map(|index| self.pick(*index)).collect()
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Admit(batch) => self.admit(batch).await,
            Step::Submit(numbers) => self.submit(numbers),
            Step::TakeSubmitted { to, admit } => self.take_submitted(to, *admit).await,
            Step::Claim { sub, exclude, limit, max_bytes } => {
                let exclude = self.pick_all(exclude);
                self.claim(*sub, &exclude, *limit, *max_bytes).await;
            }
            Step::Settle(batch) => self.settle(batch).await,
            Step::Release(indexes) => {
                let ids = self.pick_all(indexes);
                self.queue().release(ids.clone()).await.unwrap();
                ids.iter().for_each(|id| self.owed.get_mut(id).unwrap().held = false);
            }
            Step::Redeliver(indexes) => self.redeliver(indexes),
            Step::Forget(sub) => {
                while self.queue().forget(self.keys[*sub], self.now).await.unwrap() {}
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
        self.owed.values_mut().for_each(|owed| owed.held = false);
    }

    fn kill(&mut self) {
        let left = tempfile::tempdir().unwrap();
        for name in ["queue.db", "queue.db-wal"] {
            std::fs::copy(self.dir.path().join(name), left.path().join(name)).unwrap();
        }
        self.queue = None;
        self.dir = left;
        self.reopen();
    }

    async fn admit(&mut self, batch: &[(usize, Vec<(usize, bool)>)]) {
        let mut known = event_ids(self.dir.path());
        let recipient = |(sub, held): &(usize, bool)| Recipient { sub: self.keys[*sub], held: *held };
        let admissions = batch
            .iter()
            .map(|(n, to)| (event(*n).into(), to.iter().map(recipient).collect()))
            .map(|(event, to)| Admission { event, to, submitted: None });
        let admitted = self.queue().admit(admissions.collect()).await.unwrap();
        for (admitted, (n, to)) in admitted.iter().zip(batch) {
            let id = event(*n).id.into_string();
            assert_eq!(admitted.duplicate, known.contains(&id), "an event is admitted once");
            if admitted.duplicate || to.is_empty() {
                continue;
            }
            known.push(id);
            self.owe(*n, admitted.first, to);
        }
    }

    fn owe(&mut self, event: usize, first: DeliveryId, to: &[(usize, bool)]) {
        for (number, (sub, held)) in (0..).zip(to) {
            let owed = Owed::new(*sub, event, *held, false);
            assert!(self.owed.insert(first.plus(number), owed).is_none(), "ids are unique");
        }
    }

    fn submit(&mut self, numbers: &[usize]) {
        let events: Vec<_> = numbers.iter().map(|n| submission(*n)).collect();
        let mut operator = Operator::open(self.dir.path()).unwrap();
        let answered = operator.submit_all(&[(&events, None)], now()).unwrap().remove(0).unwrap();
        for (answered, n) in answered.iter().zip(numbers) {
            assert_eq!(answered.duplicate, self.submitted.contains(n), "an id is taken once");
            if !answered.duplicate {
                self.submitted.push(*n);
                self.waiting.push(*n);
            }
        }
    }

    async fn take_submitted(&mut self, to: &[(usize, bool)], admit: bool) {
        let taken = self.queue().submitted().await.unwrap();
        let expected: Vec<Event> = self.waiting.iter().map(|n| numbered(*n)).collect();
        assert!(taken.events.iter().map(|(_, event)| event).eq(&expected), "nothing is lost, in its order");
        if !admit {
            return;
        }
        let recipient = |(sub, held): &(usize, bool)| Recipient { sub: self.keys[*sub], held: *held };
        let to_all: Vec<_> = to.iter().map(recipient).collect();
        let admissions = taken.events.into_iter().map(|(id, event)| Admission {
            event: event.into(),
            to: to_all.clone(),
            submitted: Some(id),
        });
        let admitted = self.queue().admit(admissions.collect()).await.unwrap();
        for (admitted, n) in admitted.iter().zip(std::mem::take(&mut self.waiting)) {
            assert!(!admitted.duplicate);
            self.owe(n, admitted.first, to);
        }
    }

    async fn claim(&self, sub: usize, exclude: &[DeliveryId], limit: usize, max_bytes: usize) {
        let excluded = exclude.iter().copied().collect();
        let what = Claim { exclude: excluded, limit, max_bytes, now: self.now, ..everything(self.keys[sub]) };
        let claimed = self.queue().claim(what.clone()).await.unwrap();
        let mine =
            || self.owed.iter().filter(|(id, owed)| owed.sub == sub && !owed.held && !exclude.contains(id));
        let due_at = |owed: &Owed| match owed.state {
            State::Retrying { due_at } => Some(due_at),
            _ => None,
        };
        let mut retries: Vec<_> = mine().filter_map(|(id, owed)| Some((due_at(owed)?, *id))).collect();
        retries.sort();
        let mut queued: Vec<_> = mine()
            .filter(|(_, owed)| owed.state == State::Pending)
            .map(|(id, owed)| (owed.redelivery, *id))
            .collect();
        queued.sort();
        let due = retries.iter().filter(|(at, _)| *at <= self.now).map(|(_, id)| *id);
        let wanted: Vec<_> = due.chain(queued.iter().map(|(_, id)| *id)).collect();
        let sizes = wanted.iter().map(|id| numbered(self.owed[id].event).body.len());
        let before = sizes.scan(0, |bytes, size| Some(std::mem::replace(bytes, *bytes + size)));
        let within = before.take_while(|before| *before < max_bytes).count();
        let fits = within.min(limit);
        assert_eq!(ids(&claimed.deliveries), wanted[..fits], "what is due, in order, within bounds");
        assert_eq!(claimed.more, fits < wanted.len());
        assert_eq!(claimed.next_due, retries.iter().map(|(at, _)| *at).find(|at| *at > self.now));
        for delivery in &claimed.deliveries {
            let owed = &self.owed[&delivery.id];
            assert_eq!(delivery.attempts, owed.attempts);
            assert_eq!(delivery.was_retry, due_at(owed).is_some());
            assert_eq!(*delivery.event, numbered(owed.event));
        }
        // A claim that goes on where this one ended brings the rest, whatever is not settled yet.
        let known = |delivery: &&Delivery| claimed.up_to.is_none() || delivery.was_retry;
        let mut rest = Claim { after: claimed.up_to, limit: usize::MAX, max_bytes: usize::MAX, ..what };
        rest.exclude.extend(claimed.deliveries.iter().filter(known).map(|delivery| delivery.id));
        let rest = self.queue().claim(rest).await.unwrap();
        assert_eq!(ids(&rest.deliveries), wanted[fits..], "what is left, in order");
    }

    async fn settle(&mut self, batch: &[(Index, i8, Fate)]) {
        let mut settlements = Vec::new();
        let mut expected = Vec::new();
        for (index, turn, fate) in batch {
            let Some(id) = self.pick(*index) else { return };
            let owed = self.owed.get_mut(&id).unwrap();
            let number = owed.attempts.saturating_add_signed(i32::from(*turn) + 1);
            let state = match fate {
                Fate::Delivered => State::Delivered,
                Fate::Retry(hours) => State::Retrying { due_at: self.now.after(HOUR * u32::from(*hours)) },
                Fate::Dead => State::Dead { reason: Reason::Refused },
            };
            let settlement = settlement(id, number, self.now, state);
            let applies = number == owed.attempts + 1 && !owed.state.is_final();
            if applies {
                let ended_at = self.now.after(settlement.attempt.duration);
                let settled_at = (!matches!(state, State::Retrying { .. })).then_some(ended_at);
                *owed = Owed { held: false, state, attempts: number, settled_at, ..owed.clone() };
            }
            expected.push(applies);
            settlements.push(settlement);
        }
        assert_eq!(self.queue().settle(settlements).await.unwrap(), expected);
    }

    fn redeliver(&mut self, indexes: &[Index]) {
        let ids = self.pick_all(indexes);
        let again = Operator::open(self.dir.path()).unwrap().redeliver(&ids, &Active::default());
        let waits = ids.iter().find(|id| !self.owed[id].state.is_final()).copied();
        let Ok(again) = again else {
            return assert!(matches!(again, Err(Error::NotFinal(id)) if Some(id) == waits));
        };
        assert_eq!((again.len(), waits), (ids.len(), None));
        for (id, again) in ids.iter().zip(again) {
            let owed = Owed::new(self.owed[id].sub, self.owed[id].event, false, true);
            assert_eq!(again.seq(), id.seq());
            assert!(self.owed.insert(again, owed).is_none(), "ids are unique");
        }
    }

    /// What waits in the queue for a subscription is dead.
    fn give_up(&mut self, sub: usize, reason: Reason) {
        for owed in self.owed.values_mut().filter(|owed| owed.sub == sub && !owed.held) {
            if matches!(owed.state, State::Pending | State::Retrying { .. }) {
                *owed = Owed { state: State::Dead { reason }, settled_at: Some(self.now), ..owed.clone() };
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
        while self.queue().retain(policy.clone(), self.now).await.unwrap().more {}
        let now = self.now;
        let old = |owed: &Owed, age| owed.settled_at.is_some_and(|at| at.after(age) < now);
        self.owed.retain(|_, owed| match owed.state {
            State::Delivered => !old(owed, ages.0),
            State::Dead { .. } => !old(owed, ages.1),
            _ => true,
        });
        if let Some(sub) = parked
            && parked_at_once
        {
            self.give_up(sub, Reason::Expired);
        }
    }

    /// What a reader sees is what the model has.
    fn check(&self) {
        let found = list(self.dir.path());
        assert!(found.is_sorted_by(|newer, older| newer.id > older.id));
        assert_eq!(
            found.iter().rev().map(|listed| listed.id).collect::<Vec<_>>(),
            self.owed.keys().copied().collect::<Vec<_>>(),
            "nothing vanishes, nothing appears"
        );
        for listed in &found {
            let owed = &self.owed[&listed.id];
            assert_eq!((listed.state, listed.attempts), (owed.state, owed.attempts), "{}", listed.id);
            assert_eq!(listed.settled_at, owed.settled_at);
            assert_eq!(*listed.subscription_uuid, *format!("uuid-{}", owed.sub));
            assert_eq!(listed.event_id, event(owed.event).id);
        }
    }

    /// Who has something in the queue, and since when it is due.
    async fn check_waiting(&self) {
        let mut expected = Vec::new();
        for sub in 0..SUBS {
            let mine = || self.owed.values().filter(|owed| owed.sub == sub && !owed.held);
            let queued = mine().any(|owed| owed.state == State::Pending);
            let due = |owed: &Owed| {
                if let State::Retrying { due_at } = owed.state { Some(due_at) } else { None }
            };
            let next_due = mine().filter_map(due).min();
            if queued || next_due.is_some() {
                let uuid = format!("uuid-{sub}").into();
                expected.push(Waiting { sub: self.keys[sub], uuid, queued, next_due });
            }
        }
        assert_eq!(self.queue().waiting().await.unwrap(), expected);
    }

    /// Every attempt that was applied is there, and no other.
    fn check_attempts(&self) {
        let reader = Reader::open(self.dir.path()).unwrap();
        for (id, owed) in &self.owed {
            let attempts = reader.get(*id).unwrap().unwrap().attempts;
            let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
            assert_eq!(numbers, (1..=owed.attempts).collect::<Vec<_>>(), "{id}");
        }
    }
}

fn event_ids(dir: &Path) -> Vec<String> {
    let conn = rusqlite::Connection::open(file(dir)).unwrap();
    let mut all = conn.prepare("SELECT id FROM events").unwrap();
    all.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_life_of_a_queue_goes_as_the_model_says(steps in prop::collection::vec(step(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world.take(step).await;
                world.check();
                world.check_waiting().await;
            }
            world.check_attempts();
        });
    }
}
