//! Ids and idempotency keys of submissions are remembered for a day.

use std::time::Duration;

use decnet_core::limits::{
    MAX_SUBMISSION_EVENTS, REMEMBERED_FRACTION, REMEMBERED_KEY_BYTES, SUBMISSION_MEMORY_AGE,
};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Error, IdempotencyKey, Operator, Queue, Retention};
use rustc_hash::FxHashSet;

use super::submission::{key, known, submission, submit};
use super::support::*;

/// Forgets what was submitted until `at`; returns a time more than a day later.
pub(super) async fn a_day_after(queue: &Queue, at: UnixMicros) -> UnixMicros {
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
