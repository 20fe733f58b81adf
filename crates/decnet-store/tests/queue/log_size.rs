//! Under steady load the write-ahead log begins anew again and again.

use decnet_core::delivery::State;
use decnet_core::limits::MAX_WAL_BYTES;
use decnet_store::queue::{Options, Queue};
use rusqlite::Connection;
use std::fs;
use std::time::Duration;

use super::support::*;

#[tokio::test]
async fn the_log_stays_bounded_and_is_emptied_at_the_end() {
    const EVENTS: usize = 3000;
    const BODY: usize = 64 * 1024;
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let log = dir.path().join("queue.db-wal");
    let mut largest = 0;
    let mut previous = Vec::new();
    for n in (0..EVENTS).step_by(20) {
        let batch = (n..n + 20).map(|n| admission(event_of(n, BODY), &[sub], true)).collect();
        // The next commit is always under way: the writer never rests.
        let (admitted, ()) =
            tokio::join!(queue.admit(batch), settle_all(&queue, &previous, now(), State::Delivered));
        previous = admitted.unwrap().iter().map(|admitted| admitted.first).collect();
        largest = largest.max(fs::metadata(&log).unwrap().len());
    }
    let written = (EVENTS * BODY) as u64;
    let bound = MAX_WAL_BYTES.unsigned_abs() + 4 * 1024 * 1024;
    assert!(written > 2 * bound && largest < bound, "the log grew to {largest} bytes");
    queue.close().await.unwrap();
    assert_eq!(fs::metadata(&log).map_or(0, |log| log.len()), 0);
}

#[tokio::test]
async fn a_reader_that_holds_the_log_is_noticed_until_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { log_patience: Duration::from_millis(1), ..Options::default() };
    let queue = Queue::open(dir.path(), options).unwrap();
    let (sub, stats) = (subscriptions(&queue, 1).await[0], queue.stats());
    let reader = Connection::open(file(dir.path())).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let mut next = 0;
    let mut admit = async || {
        next += 20;
        let batch = (next - 20..next).map(|n| admission(event_of(n, 256 * 1024), &[sub], false)).collect();
        queue.admit(batch).await.unwrap();
    };
    while stats.log_bytes.get() < MAX_WAL_BYTES.unsigned_abs() {
        assert_eq!(stats.log_held.get(), 0, "the log is within its bound");
        admit().await;
    }
    admit().await;
    admit().await;
    assert_eq!(stats.log_held.get(), 1);
    reader.execute_batch("COMMIT").unwrap();
    // The first commit copies the log and the second one begins it anew. The figures follow a commit's answer, so a third one
    // shows that they are those of the second.
    admit().await;
    admit().await;
    admit().await;
    assert_eq!(stats.log_held.get(), 0);
    assert!(stats.log_bytes.get() < MAX_WAL_BYTES.unsigned_abs());
}
