//! While the disk is full or the file is locked everything waits, and then it is done: nothing is dropped.

use decnet_core::delivery::State;
use decnet_store::queue::{Error, Health, Options, Queue};
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;

use super::support::*;

fn quick() -> Options {
    Options { busy_timeout: Duration::from_millis(10), ..Options::default() }
}

async fn until(queue: &Queue, wanted: impl FnMut(&Health) -> bool) -> Health {
    let mut health = queue.health();
    tokio::time::timeout(LONG, health.wait_for(wanted)).await.unwrap().unwrap().clone()
}

fn degraded(health: &Health) -> bool {
    matches!(health, Health::Degraded { .. })
}

fn other(dir: &Path) -> Connection {
    let conn = Connection::open(file(dir)).unwrap();
    conn.busy_timeout(LONG).unwrap();
    conn
}

/// Holds the lock without which nobody else can write.
fn locked(dir: &Path) -> Connection {
    let conn = other(dir);
    conn.execute_batch("BEGIN IMMEDIATE").unwrap();
    conn
}

#[tokio::test]
async fn on_a_full_disk_commands_wait_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), Options { max_pages: Some(64), ..quick() }).unwrap();
    let sub = subscriptions(&queue, 1).await[0];
    let big = move |n| vec![admission(event_of(n, 50_000), &[sub], true)];
    let filler = queue.clone();
    let mut filling = tokio::spawn(async move {
        for n in 0..40 {
            filler.admit(big(n).into()).await.unwrap();
        }
    });
    let health = until(&queue, degraded).await;
    assert!(matches!(&health, Health::Degraded { error, .. } if error.contains("full")), "{health:?}");
    let settling = queue.clone();
    let kept = list(dir.path());
    assert!(kept.len() < 40);
    let settled = tokio::spawn(async move {
        settling.settle(vec![settlement(kept[0].id, 1, now(), State::Delivered)]).await
    });
    assert!(!filling.is_finished() && !settled.is_finished());
    // Room, again and again, until all of them are in.
    while tokio::time::timeout(Duration::from_millis(20), &mut filling).await.is_err() {
        other(dir.path()).execute_batch("UPDATE events SET body = ''").unwrap();
    }
    assert_eq!(settled.await.unwrap().unwrap(), [true]);
    until(&queue, |health| *health == Health::Ok).await;
    assert_eq!(list(dir.path()).len(), 40);
}

#[tokio::test]
async fn while_another_process_holds_the_lock_commands_wait() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), quick()).unwrap();
    let sub = subscriptions(&queue, 1).await[0];
    let lock = locked(dir.path());
    let waiting = queue.clone();
    let admitted = tokio::spawn(async move { admit(&waiting, 0..10, sub, false).await });
    until(&queue, degraded).await;
    assert!(!admitted.is_finished());
    drop(lock);
    assert_eq!(admitted.await.unwrap().len(), 10);
    until(&queue, |health| *health == Health::Ok).await;
    assert_eq!(list(dir.path()).len(), 10);
}

#[tokio::test]
async fn a_queue_in_trouble_can_be_closed_and_says_what_was_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let queue = Queue::open(dir.path(), quick()).unwrap();
    let sub = subscriptions(&queue, 1).await[0];
    let lock = locked(dir.path());
    let waiting = queue.clone();
    let admitted =
        tokio::spawn(async move { waiting.admit([admission(event(0), &[sub], false)].into()).await });
    until(&queue, degraded).await;
    tokio::time::timeout(LONG, queue.close()).await.unwrap().unwrap();
    assert!(matches!(admitted.await.unwrap(), Err(Error::Unwritten(_))));
    drop(lock);
    assert!(list(dir.path()).is_empty());
}
