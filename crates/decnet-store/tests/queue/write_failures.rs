//! Write failures: while the disk is full or the database locked, commands wait and nothing is lost.

use decnet_core::delivery::State;
use decnet_store::queue::{Error, Health, Options, Queue};
use std::time::Duration;

use super::support::*;

fn short_busy_timeout() -> Options {
    Options { busy_timeout: Duration::from_millis(10), ..Options::default() }
}

async fn wait_for_health(queue: &Queue, wanted: impl FnMut(&Health) -> bool) -> Health {
    let mut health = queue.health();
    tokio::time::timeout(LONG, health.wait_for(wanted)).await.unwrap().unwrap().clone()
}

fn is_degraded(health: &Health) -> bool {
    matches!(health, Health::Degraded { .. })
}

#[tokio::test]
async fn commands_wait_while_the_disk_is_full() {
    let options = Options { max_pages: Some(64), ..short_busy_timeout() };
    let (dir, queue, [sub]) = new_queue_with(options).await;
    let large = move |n| vec![admission(event_of(n, 50_000), &[sub], true)];
    let filler = queue.clone();
    let mut filling = tokio::spawn(async move {
        for n in 0..40 {
            filler.admit(large(n).into()).await.unwrap();
        }
    });
    let health = wait_for_health(&queue, is_degraded).await;
    assert!(matches!(&health, Health::Degraded { error, .. } if error.contains("full")), "{health:?}");
    let settling = queue.clone();
    let kept = list(dir.path());
    assert!(kept.len() < 40);
    let settled = tokio::spawn(async move {
        settling.settle(vec![settlement(kept[0].id, 1, now(), State::Delivered)]).await
    });
    assert!(!filling.is_finished() && !settled.is_finished());
    // Frees space repeatedly until every event is admitted.
    while tokio::time::timeout(Duration::from_millis(20), &mut filling).await.is_err() {
        sqlite(dir.path()).execute_batch("UPDATE events SET body = ''").unwrap();
    }
    assert_eq!(settled.await.unwrap().unwrap(), [true]);
    wait_for_health(&queue, |health| *health == Health::Ok).await;
    assert_eq!(list(dir.path()).len(), 40);
}

#[tokio::test]
async fn commands_wait_while_another_process_holds_the_lock() {
    let (dir, queue, [sub]) = new_queue_with(short_busy_timeout()).await;
    let lock = write_locked(dir.path());
    let waiting = queue.clone();
    let admitted = tokio::spawn(async move { admit(&waiting, 0..10, sub, false).await });
    wait_for_health(&queue, is_degraded).await;
    assert!(!admitted.is_finished());
    drop(lock);
    assert_eq!(admitted.await.unwrap().len(), 10);
    wait_for_health(&queue, |health| *health == Health::Ok).await;
    assert_eq!(list(dir.path()).len(), 10);
}

#[tokio::test]
async fn degraded_queue_can_be_closed_and_reports_unwritten_calls() {
    let (dir, queue, [sub]) = new_queue_with(short_busy_timeout()).await;
    let lock = write_locked(dir.path());
    let waiting = queue.clone();
    let admitted =
        tokio::spawn(async move { waiting.admit([admission(event(0), &[sub], false)].into()).await });
    wait_for_health(&queue, is_degraded).await;
    tokio::time::timeout(LONG, queue.close()).await.unwrap().unwrap();
    assert!(matches!(admitted.await.unwrap(), Err(Error::Unwritten(_))));
    drop(lock);
    assert!(list(dir.path()).is_empty());
}
