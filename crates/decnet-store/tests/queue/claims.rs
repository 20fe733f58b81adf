//! A claim reads what a lane may send next, in order, and writes nothing.

use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::limits::RETENTION_STEP_ROWS;
use decnet_store::queue::Claim;

use super::support::*;

#[tokio::test]
async fn due_retries_come_first_then_the_queue_in_its_order() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..5, sub, false).await;
    let at = now();
    let due = |seconds| State::Retrying { due_at: at.after(Duration::from_secs(seconds)) };
    let retries = [(all[0], due(2)), (all[1], due(1)), (all[2], due(100))];
    let batch = retries.map(|(id, state)| settlement(id, 1, at, state)).to_vec();
    assert_eq!(queue.settle(batch).await.unwrap(), [true; 3]);

    let later = at.after(Duration::from_secs(10));
    let claimed = queue.claim(Claim { limit: 10, now: later, ..everything(sub) }).await.unwrap();
    assert_eq!(ids(&claimed.deliveries), [all[1], all[0], all[3], all[4]]);
    let retried = claimed.deliveries.iter().map(|d| (d.was_retry, d.attempts)).collect::<Vec<_>>();
    assert_eq!(retried, [(true, 1), (true, 1), (false, 0), (false, 0)]);
    assert_eq!((claimed.more, claimed.next_due), (false, Some(at.after(Duration::from_secs(100)))));
}

#[tokio::test]
async fn bounds_are_kept_but_one_delivery_always_comes() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..5, sub, false).await;
    let claim = async |limit, bytes| {
        let exclude = [all[0]].into_iter().collect();
        let what = Claim { exclude, limit, max_bytes: bytes, ..everything(sub) };
        let claimed = queue.claim(what).await.unwrap();
        (ids(&claimed.deliveries), claimed.more)
    };
    assert_eq!(claim(2, usize::MAX).await, (all[1..3].to_vec(), true));
    assert_eq!(claim(9, 1).await, (all[1..2].to_vec(), true));
    assert_eq!(claim(9, 101).await, (all[1..3].to_vec(), true));
    assert_eq!(claim(0, usize::MAX).await, (vec![], true));
    assert_eq!(claim(4, usize::MAX).await, (all[1..].to_vec(), false));
}

#[tokio::test]
async fn what_is_held_or_final_is_not_claimed_and_a_late_settlement_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let held = admit(&queue, 0..2, sub, true).await;
    assert!(claim_all(&queue, sub).await.deliveries.is_empty());
    queue.release(held.clone()).await.unwrap();
    assert_eq!(ids(&claim_all(&queue, sub).await.deliveries), held);

    settle_all(&queue, &held[..1], now(), State::Delivered).await;
    settle_all(&queue, &held[1..], now(), State::Dead { reason: Reason::Refused }).await;
    queue.release(held.clone()).await.unwrap();
    assert!(claim_all(&queue, sub).await.deliveries.is_empty());
    let late = held.iter().flat_map(|id| [1, 2].map(|n| settlement(*id, n, now(), State::Pending)));
    assert_eq!(queue.settle(late.collect()).await.unwrap(), [false; 4]);
}

#[tokio::test]
async fn waiting_names_who_has_something_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 4).await;
    admit(&queue, 0..2, subs[0], false).await;
    let retried = admit(&queue, 2..3, subs[1], true).await;
    admit(&queue, 3..4, subs[2], true).await;
    let due_at = now();
    settle_all(&queue, &retried, due_at, State::Retrying { due_at }).await;
    let waiting = queue.waiting().await.unwrap();
    let found = waiting.iter().map(|w| (w.sub, w.queued, w.next_due)).collect::<Vec<_>>();
    assert_eq!(found, [(subs[0], true, None), (subs[1], false, Some(due_at))]);
}

#[tokio::test]
async fn a_deleted_subscription_is_forgotten_in_bounded_steps() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let some = 2 * RETENTION_STEP_ROWS + RETENTION_STEP_ROWS / 2;
    admit(&queue, 0..some, subs[0], false).await;
    admit(&queue, some..some + 1, subs[1], false).await;
    let mut steps = 1;
    while queue.forget(subs[0], now()).await.unwrap() {
        steps += 1;
    }
    assert_eq!(steps, 3);
    assert!(claim_all(&queue, subs[0]).await.deliveries.is_empty());
    assert_eq!(claim_all(&queue, subs[1]).await.deliveries.len(), 1);
    let dead = list(dir.path()).iter().filter(|d| d.state == State::Dead { reason: Reason::Deleted }).count();
    assert_eq!(dead, some);
}
