//! Claims: the deliveries that a lane may send next, in order, without writing.

use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::limits::RETENTION_STEP_ROWS;
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Claim, DeliveryId, Queue, Settlement, SubscriptionKey};

use super::support::*;

#[tokio::test]
async fn due_retries_precede_pending_deliveries_in_order() {
    let (_dir, queue, [sub]) = new_queue().await;
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

/// Returns the number of attempts and of free attempts of each delivery.
async fn attempts(queue: &Queue, sub: SubscriptionKey) -> Vec<(DeliveryId, u32, u32)> {
    let claimed = claim_all(queue, sub).await.deliveries;
    claimed.iter().map(|delivery| (delivery.id, delivery.attempts, delivery.free_attempts)).collect()
}

#[tokio::test]
async fn free_attempts_are_counted_across_restarts() {
    let (dir, queue, [sub]) = new_queue().await;
    let [first, second] = admit(&queue, 0..2, sub, true).await[..] else { panic!("two deliveries") };
    let retrying = State::Retrying { due_at: UnixMicros(1) };
    let free = |id, number, state| Settlement { is_free: true, ..settlement(id, number, now(), state) };
    let batch = vec![
        settlement(first, 1, now(), retrying),
        free(first, 2, retrying),
        free(first, 2, retrying),
        free(first, 3, retrying),
        free(second, 1, State::Pending),
    ];
    assert_eq!(queue.settle(batch).await.unwrap(), [true, true, false, true, true]);
    assert_eq!(attempts(&queue, sub).await, [(first, 3, 2), (second, 1, 1)]);
    drop(queue);

    let queue = open(dir.path());
    assert_eq!(attempts(&queue, sub).await, [(first, 3, 2), (second, 1, 1)]);
    let batch = vec![settlement(first, 4, now(), retrying), free(second, 2, retrying)];
    assert_eq!(queue.settle(batch).await.unwrap(), [true; 2]);
    assert_eq!(attempts(&queue, sub).await, [(first, 4, 2), (second, 2, 2)]);
}

#[tokio::test]
async fn redelivery_starts_without_free_attempts() {
    let (dir, queue, [sub]) = new_queue().await;
    let id = admit(&queue, 0..1, sub, true).await[0];
    let dead = State::Dead { reason: Reason::Refused };
    let retrying = State::Retrying { due_at: UnixMicros(1) };
    let free = Settlement { is_free: true, ..settlement(id, 1, now(), retrying) };
    assert_eq!(queue.settle(vec![free, settlement(id, 2, now(), dead)]).await.unwrap(), [true; 2]);
    let again = redeliver(dir.path(), &[id]).unwrap()[0];
    assert_eq!(attempts(&queue, sub).await, [(again, 0, 0)]);
}

#[tokio::test]
async fn claim_is_bounded_by_count_and_bytes() {
    let (_dir, queue, [sub]) = new_queue().await;
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
async fn held_and_final_deliveries_are_not_claimed() {
    let (_dir, queue, [sub]) = new_queue().await;
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
async fn backlogs_list_subscriptions_with_claimable_deliveries() {
    let (_dir, queue, subs) = new_queue::<4>().await;
    admit(&queue, 0..2, subs[0], false).await;
    let retried = admit(&queue, 2..3, subs[1], true).await;
    admit(&queue, 3..4, subs[2], true).await;
    let due_at = now();
    settle_all(&queue, &retried, due_at, State::Retrying { due_at }).await;
    let waiting = queue.backlogs().await.unwrap();
    let found = waiting.iter().map(|w| (w.sub, w.queued, w.next_due)).collect::<Vec<_>>();
    assert_eq!(found, [(subs[0], true, None), (subs[1], false, Some(due_at))]);
}

#[tokio::test]
async fn deleted_subscription_is_forgotten_in_bounded_steps() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let some = 2 * RETENTION_STEP_ROWS + RETENTION_STEP_ROWS / 2;
    admit(&queue, 0..some, subs[0], false).await;
    admit(&queue, some..some + 1, subs[1], false).await;
    let mut steps = 1;
    while queue.discard(subs[0], now()).await.unwrap() {
        steps += 1;
    }
    assert_eq!(steps, 3);
    assert!(claim_all(&queue, subs[0]).await.deliveries.is_empty());
    assert_eq!(claim_all(&queue, subs[1]).await.deliveries.len(), 1);
    let dead = list(dir.path()).iter().filter(|d| d.state == State::Dead { reason: Reason::Deleted }).count();
    assert_eq!(dead, some);
}
