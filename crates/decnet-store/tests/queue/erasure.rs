//! What is erased is gone from the files, whoever else works on them; what happened stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::limits::{ERASURE_STEP_BYTES, MAX_BODY_BYTES};
use decnet_store::queue::{
    Active, Admission, DeliveryId, Detail, Erase, Erased, Erasure, Error, Operator, Queue, Reader, Recipient,
    Settlement, Submission, SubscriptionKey,
};

use super::support::*;

const SECRET: &str = "the-visitor-of-room-7";
const ERASED: State = State::Dead { reason: Reason::Erased };

fn erase(dir: &Path, what: Erase, dry_run: bool) -> Erased {
    let mut operator = Operator::open(dir).unwrap();
    let mut erasure = Erasure::begin(&operator, what, dry_run).unwrap().unwrap();
    assert!(erasure.carry_out(&mut operator, now, |_, _| true).unwrap());
    if !dry_run {
        assert!(operator.clean_up(|| true).unwrap());
    }
    *erasure.done()
}

fn subscription(uuid: &str) -> Erase {
    Erase::Subscription(uuid.into())
}

fn is_found(dir: &Path) -> bool {
    ["queue.db", "queue.db-wal"].into_iter().any(|name| {
        let bytes = std::fs::read(dir.join(name)).unwrap_or_default();
        bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
    })
}

async fn admit_secret(queue: &Queue, n: usize, bytes: usize, to: &[SubscriptionKey]) -> DeliveryId {
    let body = format!("{SECRET}{}{SECRET}", "x".repeat(bytes));
    let event = Event {
        id: format!("secret-{n}").into(),
        topic: "a.b".into(),
        body: body.into(),
        at: now(),
        operational: false,
    };
    let to = to.iter().map(|sub| Recipient { sub: *sub, held: false }).collect();
    let admission = Admission { event: Arc::new(event), to, submitted: None };
    queue.admit([admission].into()).await.unwrap()[0].first
}

fn secret_submission(id: &str) -> Submission {
    let payload = format!("\"{SECRET}\"").into();
    Submission { id: Some(id.into()), topic: "a.b".into(), kind: "".into(), at: None, payload }
}

fn with_secret_reply(id: DeliveryId, number: u32, state: State) -> Settlement {
    let mut settled = settlement(id, number, now(), state);
    settled.attempt.reply = Bytes::from_static(SECRET.as_bytes());
    settled.attempt.detail = Some(SECRET.into());
    settled
}

fn state(dir: &Path, id: DeliveryId) -> State {
    Reader::open(dir).unwrap().get(id).unwrap().unwrap().listed.state
}

#[tokio::test]
async fn a_subscriptions_payloads_are_gone_from_the_files_while_the_worker_writes() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let mut mine = Vec::new();
    for n in 0..300 {
        mine.push(admit_secret(&queue, n, if n % 10 == 0 { 50_000 } else { 100 }, &subs[..1]).await);
        admit(&queue, n..n + 1, subs[1], false).await;
    }
    let retrying = State::Retrying { due_at: now() };
    let mut settled: Vec<_> =
        mine[..100].iter().map(|id| with_secret_reply(*id, 1, State::Delivered)).collect();
    settled.extend(
        mine[100..150].iter().map(|id| with_secret_reply(*id, 1, State::Dead { reason: Reason::Refused })),
    );
    settled.extend(mine[150..200].iter().map(|id| with_secret_reply(*id, 1, retrying)));
    queue.settle(settled).await.unwrap();
    assert!(is_found(dir.path()));
    queue.changed_elsewhere().await.unwrap();
    let erasures = queue.erasures().await.unwrap();

    let would = erase(dir.path(), subscription("uuid-0"), true);
    assert_eq!((would.deliveries, would.given_up, would.events, would.shared), (300, 150, 300, 0));
    assert!(
        is_found(dir.path()) && state(dir.path(), mine[299]) == State::Pending,
        "a dry run changes nothing"
    );

    let worker = tokio::spawn({
        let (queue, sub) = (queue.clone(), subs[1]);
        async move {
            for n in 1000..1100 {
                admit(&queue, n..n + 1, sub, false).await;
            }
        }
    });
    let path = dir.path().to_owned();
    let done =
        tokio::task::spawn_blocking(move || erase(&path, subscription("uuid-0"), false)).await.unwrap();
    worker.await.unwrap();
    assert_eq!(done, would);
    assert!(!is_found(dir.path()), "nothing of it is left in the files");
    assert!(queue.changed_elsewhere().await.unwrap() && queue.erasures().await.unwrap() != erasures);

    assert_eq!(state(dir.path(), mine[0]), State::Delivered);
    assert_eq!(state(dir.path(), mine[100]), State::Dead { reason: Reason::Refused });
    assert_eq!([150, 299].map(|n| state(dir.path(), mine[n])), [ERASED; 2]);
    for (id, status) in [(mine[0], 200), (mine[100], 503)] {
        let Detail { body, attempts, .. } = Reader::open(dir.path()).unwrap().get(id).unwrap().unwrap();
        assert!(body.is_empty() && attempts[0].reply.is_empty() && attempts[0].detail.is_none());
        assert_eq!(attempts[0].status, Some(status), "what happened stays");
    }
    assert!(claim_all(&queue, subs[0]).await.deliveries.is_empty());
    assert_eq!(claim_all(&queue, subs[1]).await.deliveries.len(), 400);
    // What was in flight meanwhile changes nothing, and nothing can be sent again.
    assert_eq!(queue.settle(vec![settlement(mine[299], 1, now(), State::Delivered)]).await.unwrap(), [false]);
    let refused = Operator::open(dir.path()).unwrap().redeliver(&[mine[0]], &Active::default()).unwrap_err();
    assert!(matches!(refused, Error::Erased(id) if id == mine[0]));
}

#[tokio::test]
async fn what_others_are_still_owed_stays_until_they_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let shared = admit_secret(&queue, 0, 100, &subs).await;
    settle_all(&queue, &[shared], now(), State::Delivered).await;
    let again = Operator::open(dir.path()).unwrap().redeliver(&[shared], &Active::default()).unwrap()[0];
    let done = erase(dir.path(), subscription("uuid-0"), false);
    assert_eq!(done, Erased { deliveries: 2, given_up: 1, shared: 1, ..Erased::default() });
    assert_eq!([shared, again].map(|id| state(dir.path(), id)), [State::Delivered, ERASED]);
    let theirs = claim_all(&queue, subs[1]).await.deliveries;
    assert!(theirs[0].event.body.starts_with(SECRET.as_bytes()));
    settle_all(&queue, &ids(&theirs), now(), State::Delivered).await;
    assert_eq!(erase(dir.path(), subscription("uuid-0"), false).events, 1);
    assert!(!is_found(dir.path()));
}

#[tokio::test]
async fn an_event_is_erased_for_all_and_before_it_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 250).await;
    let first = admit_secret(&queue, 1, 100, &subs).await;
    let other = admit(&queue, 2..3, subs[0], false).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    operator.submit_all(&[(&[secret_submission("secret-1")], None)], now()).unwrap().remove(0).unwrap();
    let taken = queue.submitted().await.unwrap().events.remove(0);
    let would = erase(dir.path(), Erase::Event("secret-1".into()), true);
    let done = erase(dir.path(), Erase::Event("secret-1".into()), false);
    assert_eq!(would, done);
    assert_eq!(done, Erased { deliveries: 250, given_up: 250, events: 1, submitted: 1, shared: 0 });
    assert!(!is_found(dir.path()));
    assert_eq!([0, 249].map(|n| state(dir.path(), first.plus(n))), [ERASED; 2]);
    assert_eq!(state(dir.path(), other), State::Pending);
    // The worker had read it: it is too late for it.
    let late = Admission {
        event: Event { id: "secret-1".into(), ..taken.1 }.into(),
        to: vec![Recipient { sub: subs[0], held: true }],
        submitted: Some(taken.0),
    };
    assert!(queue.admit([late].into()).await.unwrap()[0].duplicate);
    assert_eq!(list(dir.path()).len(), 251);
}

#[tokio::test]
async fn nothing_is_erased_where_nothing_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let operator = Operator::open(dir.path()).unwrap();
    assert!(Erasure::begin(&operator, subscription("unknown"), false).unwrap().is_none());
    assert_eq!(erase(dir.path(), Erase::Event("unknown".into()), false), Erased::default());
    admit(&queue, 0..1, sub, false).await;
    assert_eq!(erase(dir.path(), Erase::Event("unknown".into()), false), Erased::default());
}

#[tokio::test]
async fn what_the_worker_admits_in_the_middle_of_an_erasure_is_erased_if_it_was_submitted_before() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    for with_first_step in [false, true] {
        let id = format!("late-{with_first_step}");
        operator.submit_all(&[(&[secret_submission(&id)], None)], now()).unwrap().remove(0).unwrap();
        let (submitted, event) = queue.submitted().await.unwrap().events.remove(0);
        let mut erasure = Erasure::begin(&operator, Erase::Event(id), false).unwrap().unwrap();
        if with_first_step {
            erasure.step(&mut operator, now()).unwrap();
        }
        let to = vec![Recipient { sub, held: false }];
        let late = Admission { event: event.into(), to, submitted: Some(submitted) };
        assert_eq!(queue.admit([late].into()).await.unwrap()[0].duplicate, with_first_step);
        assert!(erasure.carry_out(&mut operator, now, |_, _| true).unwrap());
        assert_eq!(erasure.done().events + erasure.done().submitted, 1);
        assert!(claim_all(&queue, sub).await.deliveries.is_empty());
    }
    assert!(operator.clean_up(|| true).unwrap());
    assert!(!is_found(dir.path()));
}

#[tokio::test]
async fn an_event_to_which_no_delivery_is_left_is_erased_too() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await;
    admit_secret(&queue, 1, 100, &sub).await;
    rusqlite::Connection::open(file(dir.path())).unwrap().execute("DELETE FROM deliveries", []).unwrap();
    let done = erase(dir.path(), Erase::Event("secret-1".into()), false);
    assert_eq!(done, Erased { events: 1, ..Erased::default() });
    assert!(!is_found(dir.path()));
}

#[tokio::test]
async fn a_step_over_large_bodies_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 1).await;
    let large = MAX_BODY_BYTES - 1000;
    for n in 0..20 {
        admit_secret(&queue, n, large, &subs).await;
    }
    let most = u64::try_from(ERASURE_STEP_BYTES / large + 1).unwrap();
    let mut operator = Operator::open(dir.path()).unwrap();
    for dry_run in [true, false] {
        let mut erasure = Erasure::begin(&operator, subscription("uuid-0"), dry_run).unwrap().unwrap();
        let (mut before, mut steps) = (0, 0);
        while erasure.step(&mut operator, now()).unwrap() {
            assert!(erasure.done().events <= before + most, "{:?}", erasure.done());
            (before, steps) = (erasure.done().events, steps + 1);
        }
        assert!(before == 20 && steps >= 20 / most, "{before} in {steps} steps");
    }
}

#[tokio::test]
async fn counting_waits_for_no_writer_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 1).await;
    admit_secret(&queue, 1, 100, &subs).await;
    let mut operator = Operator::open(dir.path()).unwrap();
    let lock = rusqlite::Connection::open(file(dir.path())).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    for what in [subscription("uuid-0"), Erase::Event("secret-1".into())] {
        let mut counting = Erasure::begin(&operator, what, true).unwrap().unwrap();
        assert!(counting.carry_out(&mut operator, now, |_, _| true).unwrap());
        let expected = Erased { deliveries: 1, given_up: 1, events: 1, ..Erased::default() };
        assert_eq!(*counting.done(), expected);
    }
}

#[tokio::test]
async fn the_worker_commits_while_a_reader_keeps_the_log_from_being_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let reader = rusqlite::Connection::open(file(dir.path())).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    admit(&queue, 0..1, sub, false).await;
    let tries = Arc::new(AtomicU32::new(0));
    let (path, tried) = (dir.path().to_owned(), Arc::clone(&tries));
    let cleaning = tokio::task::spawn_blocking(move || {
        let go_on = || tried.fetch_add(1, Ordering::Relaxed) < u32::MAX;
        Operator::open(&path).unwrap().clean_up(go_on).unwrap()
    });
    let mut n = 1;
    while tries.load(Ordering::Relaxed) < 3 {
        admit(&queue, n..n + 1, sub, false).await;
        n += 1;
    }
    assert_eq!(queue.stats().commit_failures.get(), 0);
    drop(reader);
    assert!(cleaning.await.unwrap(), "when the reader is done the log is emptied");
}

#[tokio::test]
async fn an_erasure_that_is_called_off_says_so_and_can_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 1).await;
    admit_secret(&queue, 1, 100, &subs).await;
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut erasure = Erasure::begin(&operator, subscription("uuid-0"), false).unwrap().unwrap();
    assert!(!erasure.carry_out(&mut operator, now, |_, _| false).unwrap());
    assert_eq!(*erasure.done(), Erased::default());
    assert!(erasure.carry_out(&mut operator, now, |_, _| true).unwrap());
    assert_eq!(erasure.done().events, 1);
}

#[tokio::test]
async fn no_hash_of_what_was_erased_tells_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    let submissions: Vec<_> = ["admitted", "waits", "stays"].map(secret_submission).into();
    operator.submit_all(&[(&submissions, None)], now()).unwrap().pop().unwrap().unwrap();
    let (id, event) = queue.submitted().await.unwrap().events.swap_remove(0);
    let to = vec![Recipient { sub, held: false }];
    queue.admit([Admission { event: event.into(), to, submitted: Some(id) }].into()).await.unwrap();
    let file = rusqlite::Connection::open(file(dir.path())).unwrap();
    let known = || -> i64 {
        file.query_row("SELECT count(content) FROM submitted_ids", [], |row| row.get(0)).unwrap()
    };
    erase(dir.path(), subscription("uuid-0"), true);
    assert_eq!(known(), 3, "a dry run changes nothing");
    erase(dir.path(), subscription("uuid-0"), false);
    assert_eq!(known(), 2);
    assert_eq!(erase(dir.path(), Erase::Event("waits".into()), false).submitted, 1);
    assert_eq!(known(), 1);
}
