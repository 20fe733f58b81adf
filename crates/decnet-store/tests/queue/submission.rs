//! What is submitted is on the disk, is known when it comes again, and goes its way once.

use decnet_core::event::Event;
use decnet_core::limits::{
    MAX_SUBMISSION_EVENTS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS, SUBMITTED_STEP_EVENTS,
};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{
    Admission, Error, IdempotencyKey, Operator, Queue, Reader, Recipient, Submission, Submitted,
    SubscriptionKey, Taken, Unfit, note_change,
};

use super::remembered::a_day_after;
use super::support::*;

pub(super) fn submission(id: &str) -> Submission {
    Submission {
        id: (!id.is_empty()).then(|| id.into()),
        topic: "a.b".into(),
        kind: "test".into(),
        at: Some(UnixMicros(0)),
        payload: r#"{"n": 1}"#.into(),
    }
}

pub(super) fn key(key: &str) -> IdempotencyKey<'_> {
    IdempotencyKey { scope: "token-1", key }
}

pub(super) fn known(submitted: &[Submitted]) -> Vec<bool> {
    submitted.iter().map(|event| event.duplicate).collect()
}

/// One call by itself.
pub(super) fn submit(
    operator: &mut Operator,
    events: &[Submission],
    key: Option<IdempotencyKey<'_>>,
    at: UnixMicros,
) -> Result<Vec<Submitted>, Error> {
    operator.submit_all(&[(events, key)], at)?.pop().unwrap()
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
