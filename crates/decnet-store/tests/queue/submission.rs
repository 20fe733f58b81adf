//! What is submitted is on the disk, is known when it comes again, and goes its way once.

use std::time::Duration;

use decnet_core::event::Event;
use decnet_core::limits::{
    MAX_SUBMISSION_EVENTS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS, REMEMBERED_FRACTION,
    REMEMBERED_KEY_BYTES, SUBMISSION_MEMORY_AGE, SUBMITTED_STEP_EVENTS,
};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Error, IdempotencyKey, Operator, Queue, Reader, Recipient, Retention, Submission, Submitted,
    SubscriptionKey, Taken, Unfit, note_change,
};

use rustc_hash::FxHashSet;

use super::support::*;

fn submission(id: &str) -> Submission {
    Submission {
        id: (!id.is_empty()).then(|| id.into()),
        topic: "a.b".into(),
        kind: "test".into(),
        at: Some(UnixMicros(0)),
        payload: r#"{"n": 1}"#.into(),
    }
}

fn key(key: &str) -> IdempotencyKey<'_> {
    IdempotencyKey { scope: "token-1", key }
}

fn known(submitted: &[Submitted]) -> Vec<bool> {
    submitted.iter().map(|event| event.duplicate).collect()
}

/// One call by itself.
fn submit(
    operator: &mut Operator,
    events: &[Submission],
    key: Option<IdempotencyKey<'_>>,
    at: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    operator.submit_all(&[(events, key)], at)?.pop().unwrap()
}

/// Forgets what was submitted until `at`; returns a time more than a day later.
async fn a_day_after(queue: &Queue, at: UnixMicros) -> UnixMicros {
    let day_after = at.after(SUBMISSION_MEMORY_AGE + Duration::from_micros(1));
    while queue.retain(keeping_all(), day_after).await.unwrap().more {}
    day_after
}

/// A policy that removes no delivery.
fn keeping_all() -> Retention {
    Retention {
        delivered_age: Duration::MAX,
        dead_age: Duration::MAX,
        parked_age: Duration::MAX,
        max_bytes: u64::MAX,
        parked: Default::default(),
    }
}

/// Admits what was taken, to `to`.
async fn admit_all(queue: &Queue, taken: &Taken, to: &[SubscriptionKey]) -> usize {
    let admissions = taken.events.iter().map(|(id, event)| Admission {
        event: event.clone().into(),
        to: to.iter().map(|sub| Recipient { sub: *sub, held: false }).collect(),
        submitted: Some(*id),
    });
    let admitted = queue.admit(admissions.collect()).await.unwrap();
    admitted.iter().filter(|admitted| !admitted.duplicate).count()
}

#[tokio::test]
async fn submitted_events_are_admitted_in_their_order_and_then_wait_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    queue.changed_elsewhere().await.unwrap();
    let events: Vec<_> = (0..MAX_SUBMISSION_EVENTS).map(|n| submission(&format!("e{n}"))).collect();
    let submitted = submit(&mut operator, &events, None, now()).unwrap();
    assert!(!known(&submitted).contains(&true));
    submit(&mut operator, &[submission("last"), submission("")], None, now()).unwrap();
    assert!(queue.changed_elsewhere().await.unwrap());
    assert_eq!(Reader::open(dir.path()).unwrap().submitted_topic("last").unwrap().as_deref(), Some("a.b"));

    let mut ids = Vec::new();
    loop {
        let taken = queue.submitted().await.unwrap();
        assert!(taken.events.len() <= SUBMITTED_STEP_EVENTS);
        ids.extend(taken.events.iter().map(|(_, event)| event.id.to_string()));
        assert_eq!(admit_all(&queue, &taken, &[sub]).await, taken.events.len());
        // What comes late is not admitted again.
        assert_eq!(admit_all(&queue, &taken, &[sub]).await, 0);
        if !taken.more {
            break;
        }
    }
    let expected = events.iter().filter_map(|event| event.id.as_deref()).chain(["last"]);
    assert!(ids[..MAX_SUBMISSION_EVENTS + 1].iter().map(String::as_str).eq(expected));
    assert_eq!(queue.submitted().await.unwrap(), Taken::default());
    let claimed = claim_all(&queue, sub).await.deliveries;
    assert_eq!(claimed.len(), MAX_SUBMISSION_EVENTS + 2);
    let body =
        r#"{"id":"e0","payload":{"n":1},"topic":"a.b","ts":"1970-01-01T00:00:00+00:00","type":"test","v":1}"#;
    assert_eq!(claimed[0].event.body, body);
}

/// Whoever submitted it was answered that it is new.
#[tokio::test]
async fn a_submitted_event_is_admitted_whoever_had_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    let from_bus = |id: &str| admission(Event { id: id.into(), ..event(0) }, &[sub], false);
    queue.admit([from_bus("e1")].into()).await.unwrap();
    let mut at = now();
    for expected in [2, 3] {
        assert_eq!(known(&submit(&mut operator, &[submission("e1")], None, at).unwrap()), [false]);
        let taken = queue.submitted().await.unwrap();
        assert_eq!(admit_all(&queue, &taken, &[sub]).await, 1);
        assert_eq!(list(dir.path()).len(), expected);
        at = a_day_after(&queue, at).await;
    }
    assert!(
        queue.admit([from_bus("e1")].into()).await.unwrap()[0].duplicate,
        "the bus tells nobody that it is new"
    );
}

#[tokio::test]
async fn an_id_that_was_forgotten_can_be_twice_in_one_piece() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut at = now();
    for _ in 0..2 {
        assert_eq!(known(&submit(&mut operator, &[submission("e1")], None, at).unwrap()), [false]);
        at = a_day_after(&queue, at).await;
    }
    let taken = queue.submitted().await.unwrap();
    assert_eq!(admit_all(&queue, &taken, &[sub]).await, 2);
    assert_eq!(list(dir.path()).len(), 2);
}

#[tokio::test]
async fn a_piece_is_read_with_the_count_of_the_changes_before_it() {
    let dir = tempfile::tempdir().unwrap();
    note_change(dir.path()).unwrap();
    assert!(!dir.path().join("queue.db").exists(), "no queue is made for it");
    let queue = open(dir.path());
    assert_eq!(queue.catalog_changes().await.unwrap(), 0);
    for n in 1..3 {
        note_change(dir.path()).unwrap();
        submit(&mut Operator::open(dir.path()).unwrap(), &[submission("")], None, now()).unwrap();
        assert_eq!(queue.submitted().await.unwrap().changes, n);
        assert_eq!(queue.catalog_changes().await.unwrap(), n);
    }
}

#[tokio::test]
async fn what_nobody_subscribes_to_waits_no_more_either() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    submit(&mut Operator::open(dir.path()).unwrap(), &[submission("e1")], None, now()).unwrap();
    let taken = queue.submitted().await.unwrap();
    admit_all(&queue, &taken, &[]).await;
    assert_eq!(queue.submitted().await.unwrap(), Taken::default());
    assert!(list(dir.path()).is_empty());
}

#[tokio::test]
async fn what_was_read_and_not_admitted_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    submit(&mut Operator::open(dir.path()).unwrap(), &[submission("e1")], None, now()).unwrap();
    let before = queue.submitted().await.unwrap();
    drop(queue);
    assert_eq!(open(dir.path()).submitted().await.unwrap(), before);
}

#[tokio::test]
async fn an_id_is_taken_once_within_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let at = now();
    let twice = [submission("e1"), submission("e1"), submission(""), submission("")];
    assert_eq!(known(&submit(&mut operator, &twice, None, at).unwrap()), [false, true, false, false]);
    drop(operator);
    let mut operator = Operator::open(dir.path()).unwrap();
    let later = at.after(SUBMISSION_MEMORY_AGE);
    while queue.retain(keeping_all(), later).await.unwrap().more {}
    assert_eq!(known(&submit(&mut operator, &[submission("e1")], None, later).unwrap()), [true]);
    let day_after = a_day_after(&queue, at).await;
    assert_eq!(known(&submit(&mut operator, &[submission("e1")], None, day_after).unwrap()), [false]);
    assert_eq!(queue.submitted().await.unwrap().events.len(), 4);
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_it_was_and_another_with_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let (at, request) = (now(), [submission(""), submission("e1")]);
    let first = submit(&mut operator, &request, Some(key("k")), at).unwrap();
    let again = submit(&mut operator, &request, Some(key("k")), at).unwrap();
    assert_eq!(known(&again), [true, true]);
    assert!(first.iter().map(|event| &event.id).eq(again.iter().map(|event| &event.id)));
    let other = submit(&mut operator, &[submission("e2")], Some(key("k")), at);
    assert!(matches!(other, Err(Error::IdempotencyConflict)));
    let elsewhere = IdempotencyKey { scope: "token-2", key: "k" };
    assert_eq!(known(&submit(&mut operator, &[submission("e2")], Some(elsewhere), at).unwrap()), [false]);
    let day_after = a_day_after(&queue, at).await;
    assert_eq!(
        known(&submit(&mut operator, &[submission("e3")], Some(key("k")), day_after).unwrap()),
        [false]
    );
    assert_eq!(queue.submitted().await.unwrap().events.len(), 4);
}

#[tokio::test]
async fn an_id_that_comes_with_another_event_is_refused_and_swallows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    submit(&mut operator, &[submission("e1")], None, now()).unwrap();
    let later = Submission { at: None, ..submission("e1") };
    assert_eq!(
        known(&submit(&mut operator, &[later], None, now()).unwrap()),
        [true],
        "said again, at another time"
    );
    let spelled_otherwise = |payload: &str| Submission { payload: payload.into(), ..submission("e0") };
    for (payload, is_known) in [(r#"{"a":1,"b":"\u00e4"}"#, false), (r#"{ "b": "ä", "a": 1 }"#, true)] {
        let again = submit(&mut operator, &[spelled_otherwise(payload)], None, now()).unwrap();
        assert_eq!(known(&again), [is_known], "{payload}");
    }
    for other in [
        Submission { topic: "a.c".into(), ..submission("e1") },
        Submission { kind: "other".into(), ..submission("e1") },
        Submission { payload: "{}".into(), ..submission("e1") },
    ] {
        let refused = submit(&mut operator, &[submission("e2"), other], None, now()).unwrap_err();
        assert!(
            matches!(&refused, Error::IdConflict { index: 1, id } if &**id == "e1") && !refused.will_pass(),
            "{refused}"
        );
    }
    assert_eq!(
        known(&submit(&mut operator, &[submission("e2")], None, now()).unwrap()),
        [false],
        "nothing was taken"
    );
    assert_eq!(queue.submitted().await.unwrap().events.len(), 3);
    let file = rusqlite::Connection::open(file(dir.path())).unwrap();
    file.execute("UPDATE submitted_ids SET content = NULL", []).unwrap();
    let other = Submission { payload: "{}".into(), ..submission("e1") };
    assert_eq!(
        known(&submit(&mut operator, &[other], None, now()).unwrap()),
        [true],
        "of before, only the id is known"
    );
}

#[tokio::test]
async fn a_remembered_key_is_small_however_many_events_it_was_used_for() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let (at, events) = (now(), vec![submission(""); MAX_SUBMISSION_EVENTS]);
    let first = submit(&mut operator, &events, Some(key("k")), at).unwrap();
    let ids: FxHashSet<&str> = first.iter().map(|event| &*event.id).collect();
    assert_eq!(ids.len(), MAX_SUBMISSION_EVENTS, "each has its own");
    let taken = queue.submitted().await.unwrap();
    assert!(taken.events.iter().map(|(_, event)| &event.id).eq(first.iter().map(|event| &event.id)));
    let file = rusqlite::Connection::open(file(dir.path())).unwrap();
    let sizes =
        "SELECT length(hash) + 8 + length(fingerprint) + length(seed) + length(ids) FROM submitted_keys";
    let bytes: u32 = file.query_row(sizes, [], |row| row.get(0)).unwrap();
    assert!(u64::from(bytes) < REMEMBERED_KEY_BYTES, "{bytes} bytes");
    drop(operator);
    let mut operator = Operator::open(dir.path()).unwrap();
    let again = submit(&mut operator, &events, Some(key("k")), at).unwrap();
    assert!(again.iter().map(|event| &event.id).eq(first.iter().map(|event| &event.id)));
    let day_after = a_day_after(&queue, at).await;
    let anew = submit(&mut operator, &events, Some(key("k")), day_after).unwrap();
    assert!(anew.iter().all(|event| !event.duplicate && !ids.contains(&*event.id)));
    file.execute("UPDATE submitted_keys SET seed = NULL, ids = 'x' || char(10) || 'y'", []).unwrap();
    let noted = submit(&mut operator, &events, Some(key("k")), day_after).unwrap();
    assert_eq!(noted.iter().map(|event| &*event.id).collect::<Vec<_>>(), ["x", "y"], "as was written before");
}

#[tokio::test]
async fn one_bad_event_refuses_the_whole_submission() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let bad = [
        submission("two words"),
        submission(&"x".repeat(129)),
        Submission { payload: "{".into(), ..submission("") },
        Submission { payload: large.into(), ..submission("") },
    ];
    for bad in bad {
        let refused = submit(&mut operator, &[submission("good"), bad], None, now()).unwrap_err();
        assert!(matches!(refused, Error::Unfit { index: 1, .. }), "{refused}");
    }
    let many = vec![submission(""); MAX_SUBMISSION_EVENTS + 1];
    let refused = submit(&mut operator, &many, None, now()).unwrap_err();
    assert!(matches!(refused, Error::Unfit { why: Unfit::TooMany, .. }));
    for bad in ["", &"k".repeat(256)] {
        let refused = submit(&mut operator, &[submission("good")], Some(key(bad)), now()).unwrap_err();
        assert!(matches!(refused, Error::Unfit { why: Unfit::Key, .. }));
    }
    assert_eq!(queue.submitted().await.unwrap(), Taken::default());
    assert_eq!(known(&submit(&mut operator, &[submission("good")], None, now()).unwrap()), [false]);
}

#[tokio::test]
async fn while_no_worker_takes_them_only_so_many_wait() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut submit = || submit(&mut operator, &[submission("")], None, now());
    submit().unwrap();
    let file = rusqlite::Connection::open(file(dir.path())).unwrap();
    let bytes = MAX_SUBMITTED_BYTES as i64;
    file.execute("UPDATE meta SET value = ?1 WHERE key = 'submitted_bytes'", [bytes]).unwrap();
    let refused = submit().unwrap_err();
    assert!(matches!(refused, Error::Backlogged) && refused.will_pass());
    admit_all(&queue, &queue.submitted().await.unwrap(), &[]).await;
    submit().unwrap();
    file.execute("UPDATE meta SET value = 1 WHERE key = 'submitted_bytes'", []).unwrap();
    file.execute("UPDATE submitted SET seq = seq - ?1", [MAX_SUBMITTED_EVENTS as i64]).unwrap();
    file.execute("INSERT INTO submitted VALUES (1, 'e', 'a.b', 0, x'7b7d')", []).unwrap();
    assert!(matches!(submit(), Err(Error::Backlogged)));
    admit_all(&queue, &queue.submitted().await.unwrap(), &[]).await;
    submit().unwrap();
}

#[tokio::test]
async fn the_worker_takes_a_bounded_piece() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let payload: Box<str> = format!("\"{}\"", "x".repeat(1_000_000)).into();
    let large = Submission { payload, ..submission("") };
    submit(&mut Operator::open(dir.path()).unwrap(), &vec![large; 6], None, now()).unwrap();
    let taken = queue.submitted().await.unwrap();
    assert!(taken.more && taken.events.len() == 5, "{}", taken.events.len());
}

#[tokio::test]
async fn retention_forgets_what_was_submitted_long_ago() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let at = now();
    for n in 0..250 {
        let (id, request) = (format!("e{n}"), format!("k{n}"));
        submit(&mut operator, &[submission(&id)], Some(key(&request)), at).unwrap();
    }
    let policy = keeping_all();
    let file = rusqlite::Connection::open(file(dir.path())).unwrap();
    let count = || -> [i64; 2] {
        ["submitted_ids", "submitted_keys"].map(|table| {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        })
    };
    while queue.retain(policy.clone(), at).await.unwrap().more {}
    assert_eq!(count(), [250, 250]);
    let small = Retention { max_bytes: REMEMBERED_FRACTION * REMEMBERED_KEY_BYTES * 150, ..policy.clone() };
    while queue.retain(small.clone(), at).await.unwrap().more {}
    assert_eq!(count(), [200, 150], "they take a part of the size, not all of it");
    assert_eq!(
        known(&submit(&mut operator, &[submission("e249")], None, at).unwrap()),
        [true],
        "the newest stay"
    );
    let day_after = at.after(SUBMISSION_MEMORY_AGE + Duration::from_micros(1));
    while queue.retain(policy.clone(), day_after).await.unwrap().more {}
    assert_eq!(count(), [0, 0]);
}

#[tokio::test]
async fn a_submission_of_the_future_is_forgotten_a_day_from_now() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let (at, ahead) = (now(), now().after(40 * SUBMISSION_MEMORY_AGE));
    submit(&mut operator, &[submission("ahead")], Some(key("ahead")), ahead).unwrap();
    submit(&mut operator, &[submission("right")], None, at).unwrap();
    while queue.retain(keeping_all(), at).await.unwrap().more {}
    assert_eq!(known(&submit(&mut operator, &[submission("ahead")], None, at).unwrap()), [true]);
    let day_after = a_day_after(&queue, at).await;
    let both = [submission("ahead"), submission("right")];
    assert_eq!(known(&submit(&mut operator, &both, Some(key("ahead")), day_after).unwrap()), [false, false]);
}

#[tokio::test]
async fn without_a_trusted_time_nothing_submitted_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    submit(&mut operator, &[submission("e1")], None, UnixMicros(0)).unwrap();
    while queue.retain(keeping_all(), None).await.unwrap().more {}
    assert_eq!(known(&submit(&mut operator, &[submission("e1")], None, now()).unwrap()), [true]);
}

#[tokio::test]
async fn calls_that_share_a_commit_share_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let mut operator = Operator::open(dir.path()).unwrap();
    let (first, bad, again) =
        ([submission("a"), submission("b")], [submission("c"), submission("ä")], [submission("a")]);
    let results = operator
        .submit_all(
            &[(&first, Some(key("k"))), (&bad, None), (&again, None), (&again, Some(key("k")))],
            now(),
        )
        .unwrap();
    let [first, bad, again, conflict] = &results[..] else { panic!("four results") };
    assert_eq!(known(first.as_ref().unwrap()), [false, false]);
    assert!(matches!(bad, Err(Error::Unfit { index: 1, why: Unfit::Id })));
    assert_eq!(known(again.as_ref().unwrap()), [true]);
    assert!(matches!(conflict, Err(Error::IdempotencyConflict)));
    let taken = queue.submitted().await.unwrap();
    let ids: Vec<&str> = taken.events.iter().map(|(_, event)| &*event.id).collect();
    assert_eq!(ids, ["a", "b"], "nothing of the call that was refused");
}
