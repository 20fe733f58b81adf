//! Deduplication: ids and idempotency keys of submissions are remembered for a day.

use std::time::Duration;

use decnet_core::limits::{
    DEDUP_QUEUE_FRACTION, IDEMPOTENCY_KEY_BYTES, MAX_SUBMISSION_EVENTS, SUBMISSION_DEDUP_WINDOW,
};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Error, ExternalWriter, IdempotencyKey, Queue, Retention};
use rustc_hash::FxHashSet;

use super::support::*;

/// Prunes more than a day after `at`, so that ids and keys submitted until then are forgotten. Returns that time.
pub(super) async fn forget_a_day_later(queue: &Queue, at: UnixMicros) -> UnixMicros {
    let day_after = at.after(SUBMISSION_DEDUP_WINDOW + Duration::from_micros(1));
    prune_all(queue, &keep_all(), day_after).await;
    day_after
}

#[tokio::test]
async fn repeated_id_is_a_duplicate_for_a_day() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let at = now();
    let twice = [submission("e1"), submission("e1"), submission(""), submission("")];
    assert_eq!(duplicates(&submit(&mut writer, &twice, None, at).unwrap()), [false, true, false, false]);
    drop(writer);
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let later = at.after(SUBMISSION_DEDUP_WINDOW);
    prune_all(&queue, &keep_all(), later).await;
    assert!(submit_one(&mut writer, submission("e1"), later));
    let day_after = forget_a_day_later(&queue, at).await;
    assert!(!submit_one(&mut writer, submission("e1"), day_after));
    assert_eq!(queue.next_submitted().await.unwrap().events.len(), 4);
}

#[tokio::test]
async fn repeated_key_returns_the_same_ids_or_a_conflict() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let (at, request) = (now(), [submission(""), submission("e1")]);
    let first = submit(&mut writer, &request, Some(key("k")), at).unwrap();
    let again = submit(&mut writer, &request, Some(key("k")), at).unwrap();
    assert_eq!(duplicates(&again), [true, true]);
    assert!(first.iter().map(|event| &event.id).eq(again.iter().map(|event| &event.id)));
    let other = submit(&mut writer, &[submission("e2")], Some(key("k")), at);
    assert!(matches!(other, Err(Error::IdempotencyConflict)));
    let elsewhere = IdempotencyKey { scope: "token-2", key: "k" };
    assert_eq!(duplicates(&submit(&mut writer, &[submission("e2")], Some(elsewhere), at).unwrap()), [false]);
    let day_after = forget_a_day_later(&queue, at).await;
    assert_eq!(
        duplicates(&submit(&mut writer, &[submission("e3")], Some(key("k")), day_after).unwrap()),
        [false]
    );
    assert_eq!(queue.next_submitted().await.unwrap().events.len(), 4);
}

#[tokio::test]
async fn stored_key_size_does_not_depend_on_event_count() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let (at, events) = (now(), vec![submission(""); MAX_SUBMISSION_EVENTS]);
    let first = submit(&mut writer, &events, Some(key("k")), at).unwrap();
    let ids: FxHashSet<&str> = first.iter().map(|event| &*event.id).collect();
    assert_eq!(ids.len(), MAX_SUBMISSION_EVENTS, "the ids are unique");
    let batch = queue.next_submitted().await.unwrap();
    assert!(batch.events.iter().map(|(_, event)| &event.id).eq(first.iter().map(|event| &event.id)));
    let conn = sqlite(dir.path());
    let sizes =
        "SELECT length(hash) + 8 + length(fingerprint) + length(seed) + length(ids) FROM submitted_keys";
    let bytes: u32 = conn.query_row(sizes, [], |row| row.get(0)).unwrap();
    assert!(u64::from(bytes) < IDEMPOTENCY_KEY_BYTES, "{bytes} bytes");
    drop(writer);
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let again = submit(&mut writer, &events, Some(key("k")), at).unwrap();
    assert!(again.iter().map(|event| &event.id).eq(first.iter().map(|event| &event.id)));
    let day_after = forget_a_day_later(&queue, at).await;
    let anew = submit(&mut writer, &events, Some(key("k")), day_after).unwrap();
    assert!(anew.iter().all(|event| !event.duplicate && !ids.contains(&*event.id)));
    conn.execute("UPDATE submitted_keys SET seed = NULL, ids = 'x' || char(10) || 'y'", []).unwrap();
    let legacy = submit(&mut writer, &events, Some(key("k")), day_after).unwrap();
    assert_eq!(
        legacy.iter().map(|event| &*event.id).collect::<Vec<_>>(),
        ["x", "y"],
        "as earlier versions stored them"
    );
}

#[tokio::test]
async fn retention_removes_old_ids_and_keys() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let at = now();
    for n in 0..250 {
        let (id, request) = (format!("e{n}"), format!("k{n}"));
        submit(&mut writer, &[submission(&id)], Some(key(&request)), at).unwrap();
    }
    let policy = keep_all();
    let conn = sqlite(dir.path());
    let count = || -> [i64; 2] {
        ["submitted_ids", "submitted_keys"].map(|table| {
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        })
    };
    prune_all(&queue, &policy, at).await;
    assert_eq!(count(), [250, 250]);
    let small = Retention { max_bytes: DEDUP_QUEUE_FRACTION * IDEMPOTENCY_KEY_BYTES * 150, ..policy.clone() };
    prune_all(&queue, &small, at).await;
    assert_eq!(count(), [200, 150], "keys and ids take only a fraction of the size limit");
    assert!(submit_one(&mut writer, submission("e249"), at), "the newest remain");
    forget_a_day_later(&queue, at).await;
    assert_eq!(count(), [0, 0]);
}

#[tokio::test]
async fn ids_with_a_future_time_expire_a_day_from_now() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let (at, ahead) = (now(), now().after(40 * SUBMISSION_DEDUP_WINDOW));
    submit(&mut writer, &[submission("ahead")], Some(key("ahead")), ahead).unwrap();
    submit(&mut writer, &[submission("right")], None, at).unwrap();
    prune_all(&queue, &keep_all(), at).await;
    assert!(submit_one(&mut writer, submission("ahead"), at));
    let day_after = forget_a_day_later(&queue, at).await;
    let both = [submission("ahead"), submission("right")];
    assert_eq!(
        duplicates(&submit(&mut writer, &both, Some(key("ahead")), day_after).unwrap()),
        [false, false]
    );
}

#[tokio::test]
async fn ids_do_not_expire_without_a_trusted_time() {
    let (dir, queue, []) = new_queue().await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    submit(&mut writer, &[submission("e1")], None, UnixMicros(0)).unwrap();
    prune_all(&queue, &keep_all(), None).await;
    assert!(submit_one(&mut writer, submission("e1"), now()));
}
