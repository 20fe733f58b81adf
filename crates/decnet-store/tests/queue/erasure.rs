//! Erasure: payloads are removed from the files even during concurrent writes; the delivery history stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::limits::{ERASURE_STEP_BYTES, MAX_BODY_BYTES};
use decnet_store::queue::{
    Admission, DeliveryId, Detail, Erased, Erasure, ErasureTarget, Error, ExternalWriter, Queue, Reader,
    Settlement, Submission, SubscriptionKey,
};

use super::support::*;

const SECRET: &str = "the-visitor-of-room-7";
const ERASED: State = State::Dead { reason: Reason::Erased };

fn erase(dir: &Path, target: ErasureTarget, dry_run: bool) -> Erased {
    let mut writer = ExternalWriter::open(dir).unwrap();
    let mut erasure = Erasure::begin(&writer, target, dry_run).unwrap().unwrap();
    assert!(erasure.run(&mut writer, now, |_, _| true).unwrap());
    if !dry_run {
        assert!(writer.clean_up(|| true).unwrap());
    }
    *erasure.done()
}

fn subscription(uuid: &str) -> ErasureTarget {
    ErasureTarget::Subscription(uuid.into())
}

fn contains_secret(dir: &Path) -> bool {
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
    admit_one(queue, event, to, false).await.first
}

fn secret_submission(id: &str) -> Submission {
    let payload = format!("\"{SECRET}\"").into();
    Submission { id: Some(id.into()), topic: "a.b".into(), kind: "".into(), at: None, payload }
}

fn with_secret_reply(id: DeliveryId, state: State) -> Settlement {
    let mut settled = settlement(id, 1, now(), state);
    settled.attempt.reply = Bytes::from_static(SECRET.as_bytes());
    settled.attempt.detail = Some(SECRET.into());
    settled
}

fn state_of(dir: &Path, id: DeliveryId) -> State {
    Reader::open(dir).unwrap().get(id).unwrap().unwrap().listed.state
}

#[tokio::test]
async fn subscription_payloads_are_erased_while_the_worker_writes() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let mut mine = Vec::new();
    for n in 0..300 {
        mine.push(admit_secret(&queue, n, if n % 10 == 0 { 50_000 } else { 100 }, &subs[..1]).await);
        admit(&queue, n..n + 1, subs[1], false).await;
    }
    let retrying = State::Retrying { due_at: now() };
    let mut settled: Vec<_> = mine[..100].iter().map(|id| with_secret_reply(*id, State::Delivered)).collect();
    settled.extend(
        mine[100..150].iter().map(|id| with_secret_reply(*id, State::Dead { reason: Reason::Refused })),
    );
    settled.extend(mine[150..200].iter().map(|id| with_secret_reply(*id, retrying)));
    queue.settle(settled).await.unwrap();
    assert!(contains_secret(dir.path()));
    queue.changed_elsewhere().await.unwrap();
    let erasures = queue.erasures().await.unwrap();

    let expected = erase(dir.path(), subscription("uuid-0"), true);
    assert_eq!(
        (expected.deliveries, expected.given_up, expected.events, expected.shared),
        (300, 150, 300, 0)
    );
    assert!(
        contains_secret(dir.path()) && state_of(dir.path(), mine[299]) == State::Pending,
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
    assert_eq!(done, expected);
    assert!(!contains_secret(dir.path()), "the files do not contain the payloads");
    assert!(queue.changed_elsewhere().await.unwrap() && queue.erasures().await.unwrap() != erasures);

    assert_eq!(state_of(dir.path(), mine[0]), State::Delivered);
    assert_eq!(state_of(dir.path(), mine[100]), State::Dead { reason: Reason::Refused });
    assert_eq!([150, 299].map(|n| state_of(dir.path(), mine[n])), [ERASED; 2]);
    for (id, status) in [(mine[0], 200), (mine[100], 503)] {
        let Detail { body, attempts, .. } = Reader::open(dir.path()).unwrap().get(id).unwrap().unwrap();
        assert!(body.is_empty() && attempts[0].reply.is_empty() && attempts[0].detail.is_none());
        assert_eq!(attempts[0].status, Some(status), "the outcome stays");
    }
    assert!(claim_all(&queue, subs[0]).await.deliveries.is_empty());
    assert_eq!(claim_all(&queue, subs[1]).await.deliveries.len(), 400);
    // A late settlement is ignored, and a redelivery rejected.
    assert_eq!(queue.settle(vec![settlement(mine[299], 1, now(), State::Delivered)]).await.unwrap(), [false]);
    let refused = redeliver(dir.path(), &[mine[0]]).unwrap_err();
    assert!(matches!(refused, Error::Erased(id) if id == mine[0]));
}

#[tokio::test]
async fn shared_event_stays_until_other_subscriptions_have_it() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let shared = admit_secret(&queue, 0, 100, &subs).await;
    settle_all(&queue, &[shared], now(), State::Delivered).await;
    let again = redeliver(dir.path(), &[shared]).unwrap()[0];
    let done = erase(dir.path(), subscription("uuid-0"), false);
    assert_eq!(done, Erased { deliveries: 2, given_up: 1, shared: 1, ..Erased::default() });
    assert_eq!([shared, again].map(|id| state_of(dir.path(), id)), [State::Delivered, ERASED]);
    let theirs = claim_all(&queue, subs[1]).await.deliveries;
    assert!(theirs[0].event.body.starts_with(SECRET.as_bytes()));
    settle_all(&queue, &ids(&theirs), now(), State::Delivered).await;
    assert_eq!(erase(dir.path(), subscription("uuid-0"), false).events, 1);
    assert!(!contains_secret(dir.path()));
}

#[tokio::test]
async fn event_is_erased_for_all_and_before_admission() {
    let (dir, queue, subs) = new_queue::<250>().await;
    let first = admit_secret(&queue, 1, 100, &subs).await;
    let other = admit(&queue, 2..3, subs[0], false).await[0];
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    submit(&mut writer, &[secret_submission("secret-1")], None, now()).unwrap();
    let (submitted, event) = queue.next_submitted().await.unwrap().events.remove(0);
    let expected = erase(dir.path(), ErasureTarget::Event("secret-1".into()), true);
    let done = erase(dir.path(), ErasureTarget::Event("secret-1".into()), false);
    assert_eq!(expected, done);
    assert_eq!(done, Erased { deliveries: 250, given_up: 250, events: 1, submitted: 1, shared: 0 });
    assert!(!contains_secret(dir.path()));
    assert_eq!([0, 249].map(|n| state_of(dir.path(), first.plus(n))), [ERASED; 2]);
    assert_eq!(state_of(dir.path(), other), State::Pending);
    // The worker had read the submission before its erasure; its admission comes too late.
    let late = Admission { submitted: Some(submitted), ..admission(event, &subs[..1], true) };
    assert!(queue.admit([late].into()).await.unwrap()[0].duplicate);
    assert_eq!(list(dir.path()).len(), 251);
}

#[tokio::test]
async fn unknown_subscription_or_event_erases_nothing() {
    let (dir, queue, [sub]) = new_queue().await;
    let writer = ExternalWriter::open(dir.path()).unwrap();
    assert!(Erasure::begin(&writer, subscription("unknown"), false).unwrap().is_none());
    assert_eq!(erase(dir.path(), ErasureTarget::Event("unknown".into()), false), Erased::default());
    admit(&queue, 0..1, sub, false).await;
    assert_eq!(erase(dir.path(), ErasureTarget::Event("unknown".into()), false), Erased::default());
}

#[tokio::test]
async fn submission_admitted_during_its_erasure_is_erased() {
    let (dir, queue, [sub]) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    for with_first_step in [false, true] {
        let id = format!("late-{with_first_step}");
        submit(&mut writer, &[secret_submission(&id)], None, now()).unwrap();
        let (submitted, event) = queue.next_submitted().await.unwrap().events.remove(0);
        let mut erasure = Erasure::begin(&writer, ErasureTarget::Event(id), false).unwrap().unwrap();
        if with_first_step {
            erasure.step(&mut writer, now()).unwrap();
        }
        let late = Admission { submitted: Some(submitted), ..admission(event, &[sub], false) };
        assert_eq!(queue.admit([late].into()).await.unwrap()[0].duplicate, with_first_step);
        assert!(erasure.run(&mut writer, now, |_, _| true).unwrap());
        assert_eq!(erasure.done().events + erasure.done().submitted, 1);
        assert!(claim_all(&queue, sub).await.deliveries.is_empty());
    }
    assert!(writer.clean_up(|| true).unwrap());
    assert!(!contains_secret(dir.path()));
}

#[tokio::test]
async fn event_without_deliveries_is_erased() {
    let (dir, queue, sub) = new_queue::<1>().await;
    admit_secret(&queue, 1, 100, &sub).await;
    sqlite(dir.path()).execute("DELETE FROM deliveries", []).unwrap();
    let done = erase(dir.path(), ErasureTarget::Event("secret-1".into()), false);
    assert_eq!(done, Erased { events: 1, ..Erased::default() });
    assert!(!contains_secret(dir.path()));
}

#[tokio::test]
async fn erasure_step_is_bounded_in_bytes() {
    let (dir, queue, subs) = new_queue::<1>().await;
    let large = MAX_BODY_BYTES - 1000;
    for n in 0..20 {
        admit_secret(&queue, n, large, &subs).await;
    }
    let most = u64::try_from(ERASURE_STEP_BYTES / large + 1).unwrap();
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    for dry_run in [true, false] {
        let mut erasure = Erasure::begin(&writer, subscription("uuid-0"), dry_run).unwrap().unwrap();
        let (mut before, mut steps) = (0, 0);
        while erasure.step(&mut writer, now()).unwrap() {
            assert!(erasure.done().events <= before + most, "{:?}", erasure.done());
            (before, steps) = (erasure.done().events, steps + 1);
        }
        assert!(before == 20 && steps >= 20 / most, "{before} in {steps} steps");
    }
}

#[tokio::test]
async fn dry_run_needs_no_write_lock() {
    let (dir, queue, subs) = new_queue::<1>().await;
    admit_secret(&queue, 1, 100, &subs).await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let _lock = write_locked(dir.path());
    for target in [subscription("uuid-0"), ErasureTarget::Event("secret-1".into())] {
        let mut counting = Erasure::begin(&writer, target, true).unwrap().unwrap();
        assert!(counting.run(&mut writer, now, |_, _| true).unwrap());
        let expected = Erased { deliveries: 1, given_up: 1, events: 1, ..Erased::default() };
        assert_eq!(*counting.done(), expected);
    }
}

#[tokio::test]
async fn worker_commits_while_a_reader_blocks_wal_truncation() {
    let (dir, queue, [sub]) = new_queue().await;
    let reader = sqlite(dir.path());
    reader.execute_batch("BEGIN").unwrap();
    reader.query_row("SELECT count(*) FROM events", [], |row| row.get::<_, i64>(0)).unwrap();
    admit(&queue, 0..1, sub, false).await;
    let attempts = Arc::new(AtomicU32::new(0));
    let (path, counted) = (dir.path().to_owned(), Arc::clone(&attempts));
    let cleaning = tokio::task::spawn_blocking(move || {
        let should_continue = || counted.fetch_add(1, Ordering::Relaxed) < u32::MAX;
        ExternalWriter::open(&path).unwrap().clean_up(should_continue).unwrap()
    });
    let mut n = 1;
    while attempts.load(Ordering::Relaxed) < 3 {
        admit(&queue, n..n + 1, sub, false).await;
        n += 1;
    }
    assert_eq!(queue.stats().commit_failures.get(), 0);
    drop(reader);
    assert!(cleaning.await.unwrap(), "the WAL is truncated once the reader is done");
}

#[tokio::test]
async fn cancelled_erasure_can_be_resumed() {
    let (dir, queue, subs) = new_queue::<1>().await;
    admit_secret(&queue, 1, 100, &subs).await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let mut erasure = Erasure::begin(&writer, subscription("uuid-0"), false).unwrap().unwrap();
    assert!(!erasure.run(&mut writer, now, |_, _| false).unwrap());
    assert_eq!(*erasure.done(), Erased::default());
    assert!(erasure.run(&mut writer, now, |_, _| true).unwrap());
    assert_eq!(erasure.done().events, 1);
}

#[tokio::test]
async fn content_hashes_of_erased_events_are_deleted() {
    let (dir, queue, [sub]) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    submit(&mut writer, &["admitted", "waiting", "kept"].map(secret_submission), None, now()).unwrap();
    let (id, event) = queue.next_submitted().await.unwrap().events.swap_remove(0);
    let admission = Admission { submitted: Some(id), ..admission(event, &[sub], false) };
    queue.admit([admission].into()).await.unwrap();
    let conn = sqlite(dir.path());
    let hashes = || -> i64 {
        conn.query_row("SELECT count(content) FROM submitted_ids", [], |row| row.get(0)).unwrap()
    };
    erase(dir.path(), subscription("uuid-0"), true);
    assert_eq!(hashes(), 3, "a dry run changes nothing");
    erase(dir.path(), subscription("uuid-0"), false);
    assert_eq!(hashes(), 2);
    assert_eq!(erase(dir.path(), ErasureTarget::Event("waiting".into()), false).submitted, 1);
    assert_eq!(hashes(), 1);
}
