//! Submissions: events from other processes are durable, deduplicated, and admitted exactly once.

use decnet_core::event::Event;
use decnet_core::limits::{
    MAX_SUBMISSION_EVENTS, MAX_SUBMITTED_BYTES, MAX_SUBMITTED_EVENTS, SUBMITTED_STEP_EVENTS,
};
use decnet_store::queue::{
    Admission, Error, ExternalWriter, InvalidSubmission, Queue, Reader, Submission, SubmittedEvents,
    SubscriptionKey, record_catalog_change,
};

use super::deduplication::forget_a_day_later;
use super::support::*;

/// Admits submitted events. Returns the number of those that were not duplicates.
async fn admit_all(queue: &Queue, batch: &SubmittedEvents, to: &[SubscriptionKey]) -> usize {
    let admissions = batch
        .events
        .iter()
        .map(|(id, event)| Admission { submitted: Some(*id), ..admission(event.clone(), to, false) });
    let admitted = queue.admit(admissions.collect()).await.unwrap();
    admitted.iter().filter(|admitted| !admitted.duplicate).count()
}

#[tokio::test]
async fn submitted_events_are_admitted_once_in_order() {
    let (dir, queue, [sub]) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    queue.changed_elsewhere().await.unwrap();
    let events: Vec<_> = (0..MAX_SUBMISSION_EVENTS).map(|n| submission(&format!("e{n}"))).collect();
    let submitted = submit(&mut writer, &events, None, now()).unwrap();
    assert!(!duplicates(&submitted).contains(&true));
    submit(&mut writer, &[submission("last"), submission("")], None, now()).unwrap();
    assert!(queue.changed_elsewhere().await.unwrap());
    let last = Reader::open(dir.path()).unwrap().submitted("last").unwrap().unwrap();
    assert_eq!((&*last.id, &*last.topic, last.body.is_empty()), ("last", "a.b", false));

    let mut ids = Vec::new();
    loop {
        let batch = queue.next_submitted().await.unwrap();
        assert!(batch.events.len() <= SUBMITTED_STEP_EVENTS);
        ids.extend(batch.events.iter().map(|(_, event)| event.id.to_string()));
        assert_eq!(admit_all(&queue, &batch, &[sub]).await, batch.events.len());
        // A repeated admission is a duplicate.
        assert_eq!(admit_all(&queue, &batch, &[sub]).await, 0);
        if !batch.more {
            break;
        }
    }
    let expected = events.iter().filter_map(|event| event.id.as_deref()).chain(["last"]);
    assert!(ids[..MAX_SUBMISSION_EVENTS + 1].iter().map(String::as_str).eq(expected));
    assert_eq!(queue.next_submitted().await.unwrap(), SubmittedEvents::default());
    let claimed = claim_all(&queue, sub).await.deliveries;
    assert_eq!(claimed.len(), MAX_SUBMISSION_EVENTS + 2);
    let body =
        r#"{"id":"e0","payload":{"n":1},"topic":"a.b","ts":"1970-01-01T00:00:00+00:00","type":"test","v":1}"#;
    assert_eq!(claimed[0].event.body, body);
}

/// The submitter was told that the event is new, so it must be delivered.
#[tokio::test]
async fn submitted_event_is_admitted_even_if_its_id_exists() {
    let (dir, queue, [sub]) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let from_bus = || Event { id: "e1".into(), ..event(0) };
    admit_one(&queue, from_bus(), &[sub], false).await;
    let mut at = now();
    for expected in [2, 3] {
        assert!(!submit_one(&mut writer, submission("e1"), at));
        let batch = queue.next_submitted().await.unwrap();
        assert_eq!(admit_all(&queue, &batch, &[sub]).await, 1);
        assert_eq!(list(dir.path()).len(), expected);
        at = forget_a_day_later(&queue, at).await;
    }
    assert!(
        admit_one(&queue, from_bus(), &[sub], false).await.duplicate,
        "a publisher on the bus gets no such reply"
    );
}

#[tokio::test]
async fn forgotten_id_may_occur_twice_in_one_batch() {
    let (dir, queue, [sub]) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let mut at = now();
    for _ in 0..2 {
        assert!(!submit_one(&mut writer, submission("e1"), at));
        at = forget_a_day_later(&queue, at).await;
    }
    let batch = queue.next_submitted().await.unwrap();
    assert_eq!(admit_all(&queue, &batch, &[sub]).await, 2);
    assert_eq!(list(dir.path()).len(), 2);
}

#[tokio::test]
async fn batch_includes_the_count_of_earlier_catalog_changes() {
    let dir = tempfile::tempdir().unwrap();
    record_catalog_change(dir.path()).unwrap();
    assert!(!dir.path().join("queue.db").exists(), "no queue is created for it");
    let queue = open(dir.path());
    assert_eq!(queue.catalog_changes().await.unwrap(), 0);
    for n in 1..3 {
        record_catalog_change(dir.path()).unwrap();
        submit(&mut ExternalWriter::open(dir.path()).unwrap(), &[submission("")], None, now()).unwrap();
        assert_eq!(queue.next_submitted().await.unwrap().changes, n);
        assert_eq!(queue.catalog_changes().await.unwrap(), n);
    }
}

#[tokio::test]
async fn submission_without_recipients_is_removed() {
    let (dir, queue, []) = new_queue().await;
    submit(&mut ExternalWriter::open(dir.path()).unwrap(), &[submission("e1")], None, now()).unwrap();
    let batch = queue.next_submitted().await.unwrap();
    admit_all(&queue, &batch, &[]).await;
    assert_eq!(queue.next_submitted().await.unwrap(), SubmittedEvents::default());
    assert!(list(dir.path()).is_empty());
}

#[tokio::test]
async fn unadmitted_submission_survives_a_restart() {
    let (dir, queue, []) = new_queue().await;
    submit(&mut ExternalWriter::open(dir.path()).unwrap(), &[submission("e1")], None, now()).unwrap();
    let before = queue.next_submitted().await.unwrap();
    drop(queue);
    assert_eq!(open(dir.path()).next_submitted().await.unwrap(), before);
}

#[tokio::test]
async fn id_reused_for_another_event_is_a_conflict() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    submit(&mut writer, &[submission("e1")], None, now()).unwrap();
    let later = Submission { at: None, ..submission("e1") };
    assert!(submit_one(&mut writer, later, now()), "the time is not compared");
    let with_payload = |payload: &str| Submission { payload: payload.into(), ..submission("e0") };
    for (payload, duplicate) in [(r#"{"a":1,"b":"\u00e4"}"#, false), (r#"{ "b": "ä", "a": 1 }"#, true)] {
        let again = submit(&mut writer, &[with_payload(payload)], None, now()).unwrap();
        assert_eq!(duplicates(&again), [duplicate], "{payload}");
    }
    for other in [
        Submission { topic: "a.c".into(), ..submission("e1") },
        Submission { kind: "other".into(), ..submission("e1") },
        Submission { payload: "{}".into(), ..submission("e1") },
    ] {
        let refused = submit(&mut writer, &[submission("e2"), other], None, now()).unwrap_err();
        assert!(
            matches!(&refused, Error::IdConflict { index: 1, id } if &**id == "e1")
                && !refused.is_transient(),
            "{refused}"
        );
    }
    assert!(!submit_one(&mut writer, submission("e2"), now()), "the rejected submission left nothing behind");
    assert_eq!(queue.next_submitted().await.unwrap().events.len(), 3);
    let conn = sqlite(dir.path());
    conn.execute("UPDATE submitted_ids SET content = NULL", []).unwrap();
    let other = Submission { payload: "{}".into(), ..submission("e1") };
    assert!(submit_one(&mut writer, other, now()), "earlier versions stored only the id");
}

#[tokio::test]
async fn one_invalid_event_rejects_the_whole_submission() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let bad = [
        submission("two words"),
        submission(&"x".repeat(129)),
        Submission { payload: "{".into(), ..submission("") },
        Submission { payload: large.into(), ..submission("") },
    ];
    for bad in bad {
        let refused = submit(&mut writer, &[submission("good"), bad], None, now()).unwrap_err();
        assert!(matches!(refused, Error::InvalidSubmission { index: 1, .. }), "{refused}");
    }
    let many = vec![submission(""); MAX_SUBMISSION_EVENTS + 1];
    let refused = submit(&mut writer, &many, None, now()).unwrap_err();
    assert!(matches!(refused, Error::InvalidSubmission { reason: InvalidSubmission::TooMany, .. }));
    for bad in ["", &"k".repeat(256)] {
        let refused = submit(&mut writer, &[submission("good")], Some(key(bad)), now()).unwrap_err();
        assert!(matches!(refused, Error::InvalidSubmission { reason: InvalidSubmission::Key, .. }));
    }
    assert_eq!(queue.next_submitted().await.unwrap(), SubmittedEvents::default());
    assert!(!submit_one(&mut writer, submission("good"), now()));
}

#[tokio::test]
async fn unadmitted_submissions_are_bounded() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let mut submit = || submit(&mut writer, &[submission("")], None, now());
    submit().unwrap();
    let conn = sqlite(dir.path());
    let bytes = MAX_SUBMITTED_BYTES as i64;
    conn.execute("UPDATE meta SET value = ?1 WHERE key = 'submitted_bytes'", [bytes]).unwrap();
    let refused = submit().unwrap_err();
    assert!(matches!(refused, Error::Backlogged) && refused.is_transient());
    admit_all(&queue, &queue.next_submitted().await.unwrap(), &[]).await;
    submit().unwrap();
    conn.execute("UPDATE meta SET value = 1 WHERE key = 'submitted_bytes'", []).unwrap();
    conn.execute("UPDATE submitted SET seq = seq - ?1", [MAX_SUBMITTED_EVENTS as i64]).unwrap();
    conn.execute("INSERT INTO submitted VALUES (1, 'e', 'a.b', 0, x'7b7d')", []).unwrap();
    assert!(matches!(submit(), Err(Error::Backlogged)));
    admit_all(&queue, &queue.next_submitted().await.unwrap(), &[]).await;
    submit().unwrap();
}

#[tokio::test]
async fn batch_of_submissions_is_bounded_in_bytes() {
    let (dir, queue, []) = new_queue().await;
    let payload: Box<str> = format!("\"{}\"", "x".repeat(1_000_000)).into();
    let large = Submission { payload, ..submission("") };
    submit(&mut ExternalWriter::open(dir.path()).unwrap(), &vec![large; 6], None, now()).unwrap();
    let batch = queue.next_submitted().await.unwrap();
    assert!(batch.more && batch.events.len() == 5, "{}", batch.events.len());
}

#[tokio::test]
async fn calls_in_one_commit_fail_independently() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let (first, bad, again) =
        ([submission("a"), submission("b")], [submission("c"), submission("ä")], [submission("a")]);
    let results = writer
        .submit_all(
            &[(&first, Some(key("k"))), (&bad, None), (&again, None), (&again, Some(key("k")))],
            now(),
        )
        .unwrap();
    let [first, bad, again, conflict] = &results[..] else { panic!("four results") };
    assert_eq!(duplicates(first.as_ref().unwrap()), [false, false]);
    assert!(matches!(bad, Err(Error::InvalidSubmission { index: 1, reason: InvalidSubmission::Id })));
    assert_eq!(duplicates(again.as_ref().unwrap()), [true]);
    assert!(matches!(conflict, Err(Error::IdempotencyConflict)));
    let batch = queue.next_submitted().await.unwrap();
    let ids: Vec<&str> = batch.events.iter().map(|(_, event)| &*event.id).collect();
    assert_eq!(ids, ["a", "b"], "nothing of the rejected call");
}
