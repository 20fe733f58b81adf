//! The size of the write-ahead log (WAL) under steady load.

use decnet_core::delivery::State;
use decnet_core::limits::MAX_WAL_BYTES;
use decnet_store::queue::Options;
use std::fs;
use std::time::Duration;

use super::support::*;

#[tokio::test]
async fn wal_stays_bounded_and_is_truncated_on_close() {
    const EVENTS: usize = 3000;
    const BODY: usize = 64 * 1024;
    let (dir, queue, [sub]) = new_queue().await;
    let wal = dir.path().join("queue.db-wal");
    let mut largest = 0;
    let mut previous = Vec::new();
    for n in (0..EVENTS).step_by(20) {
        let batch = (n..n + 20).map(|n| admission(event_of(n, BODY), &[sub], true)).collect();
        // Two calls at a time, so that the writer is never idle.
        let (admitted, ()) =
            tokio::join!(queue.admit(batch), settle_all(&queue, &previous, now(), State::Delivered));
        previous = admitted.unwrap().iter().map(|admitted| admitted.first).collect();
        largest = largest.max(fs::metadata(&wal).unwrap().len());
    }
    let written = (EVENTS * BODY) as u64;
    let bound = MAX_WAL_BYTES.unsigned_abs() + 4 * 1024 * 1024;
    assert!(written > 2 * bound && largest < bound, "the WAL grew to {largest} bytes");
    queue.close().await.unwrap();
    assert_eq!(fs::metadata(&wal).map_or(0, |wal| wal.len()), 0);
}

#[tokio::test]
async fn reader_that_blocks_the_checkpoint_is_reported() {
    let options = Options { wal_held_grace: Duration::from_millis(1), ..Options::default() };
    let (dir, queue, [sub]) = new_queue_with(options).await;
    let stats = queue.stats();
    let reader = sqlite(dir.path());
    reader.execute_batch("BEGIN; SELECT count(*) FROM events").unwrap();
    let mut next = 0;
    let mut admit = async || {
        next += 20;
        let batch = (next - 20..next).map(|n| admission(event_of(n, 256 * 1024), &[sub], false)).collect();
        queue.admit(batch).await.unwrap();
    };
    while stats.log_bytes.get() < MAX_WAL_BYTES.unsigned_abs() {
        assert_eq!(stats.log_held.get(), 0, "the WAL is within its bound");
        admit().await;
    }
    admit().await;
    admit().await;
    assert_eq!(stats.log_held.get(), 1);
    reader.execute_batch("COMMIT").unwrap();
    // The first commit checkpoints the WAL, and the second restarts it. Statistics are updated after a commit is
    // acknowledged, so only after the third one do they include the second.
    admit().await;
    admit().await;
    admit().await;
    assert_eq!(stats.log_held.get(), 0);
    assert!(stats.log_bytes.get() < MAX_WAL_BYTES.unsigned_abs());
}
