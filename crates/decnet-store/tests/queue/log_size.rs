//! Under steady load the write-ahead log begins anew again and again.

use decnet_core::delivery::State;
use decnet_core::limits::MAX_WAL_BYTES;
use std::fs;

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
