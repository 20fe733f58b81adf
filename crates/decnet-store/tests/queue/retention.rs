//! Retention: removal by age and by size, in bounded steps, never of live deliveries.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::limits::{MAX_BODY_BYTES, RETENTION_STEP_ROWS};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{DeliveryId, Pruned, Queue, Retention, SubscriptionKey};

use super::support::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DEAD: State = State::Dead { reason: Reason::Refused };

fn policy() -> Retention {
    Retention {
        delivered_age: DAY,
        dead_age: 30 * DAY,
        parked_age: 7 * DAY,
        max_bytes: u64::MAX,
        parked: Arc::default(),
    }
}

/// Returns the policy while a subscription is parked.
fn parking(sub: SubscriptionKey) -> Retention {
    Retention { parked: Arc::new([sub].into_iter().collect()), ..policy() }
}

/// Admits events that fill most of a page each, so that each removal frees a page.
async fn admit_large(
    queue: &Queue,
    range: std::ops::Range<usize>,
    sub: impl Fn(usize) -> SubscriptionKey,
) -> Vec<DeliveryId> {
    let batch = range.map(|n| admission(event_of(n, 12_000), &[sub(n)], false)).collect();
    queue.admit(batch).await.unwrap().iter().map(|admitted| admitted.first).collect()
}

/// Runs a whole pass. Returns the sum over its steps.
async fn pass(queue: &Queue, policy: &Retention, now: impl Into<Option<UnixMicros>>) -> Pruned {
    let now = now.into();
    let mut sum = Pruned::default();
    loop {
        let step = queue.prune(policy.clone(), now).await.unwrap();
        assert!(step.delivered + step.dead + step.expired + step.parked <= RETENTION_STEP_ROWS as u64);
        sum.delivered += step.delivered;
        sum.dead += step.dead;
        sum.expired += step.expired;
        sum.parked += step.parked;
        sum.events += step.events;
        (sum.bytes, sum.only_live_left) = (step.bytes, step.only_live_left);
        if !step.more {
            return sum;
        }
    }
}

#[tokio::test]
async fn each_state_expires_at_its_own_age() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..3000, sub, false).await;
    let at = now();
    settle_all(&queue, &all[..1500], at, State::Delivered).await;
    settle_all(&queue, &all[1500..2000], at, DEAD).await;
    settle_all(&queue, &all[2000..2100], at, State::Retrying { due_at: at }).await;

    assert_eq!(pass(&queue, &policy(), at.after(DAY / 2)).await.delivered, 0);
    let after = pass(&queue, &policy(), at.after(2 * DAY)).await;
    assert_eq!((after.delivered, after.dead, after.events), (1500, 0, 1500));
    let after = pass(&queue, &policy(), at.after(31 * DAY)).await;
    assert_eq!((after.delivered, after.dead, after.events), (0, 500, 500));
    let left = list(dir.path());
    assert_eq!(left.len(), 1000);
    assert!(left.iter().all(|d| matches!(d.state, State::Pending | State::Retrying { .. })));
    let attempts: i64 =
        sqlite(dir.path()).query_row("SELECT count(*) FROM attempts", [], |row| row.get(0)).unwrap();
    assert_eq!(attempts, 100, "attempts are removed with their deliveries");
}

#[tokio::test]
async fn event_stays_while_it_has_a_delivery() {
    let (_dir, queue, subs) = new_queue::<2>().await;
    let first = admit_one(&queue, event(0), &subs, false).await.first;
    admit(&queue, 1..2, subs[0], true).await;
    let at = now();
    settle_all(&queue, &[first], at, State::Delivered).await;
    let after = pass(&queue, &policy(), at.after(2 * DAY)).await;
    assert_eq!((after.delivered, after.events), (1, 0));
    assert_eq!(*claim_all(&queue, subs[1]).await.deliveries[0].event, event(0));
}

#[tokio::test]
async fn only_parked_deliveries_expire() {
    let (dir, queue, subs) = new_queue::<2>().await;
    admit(&queue, 0..10, subs[0], false).await;
    admit(&queue, 10..20, subs[1], false).await;
    let parked = parking(subs[1]);
    assert_eq!(pass(&queue, &parked, now().after(DAY)).await.expired, 0);
    assert_eq!(pass(&queue, &parked, now().after(8 * DAY)).await.expired, 10);
    assert_eq!(claim_all(&queue, subs[0]).await.deliveries.len(), 10);
    assert!(claim_all(&queue, subs[1]).await.deliveries.is_empty());
    let expired =
        list(dir.path()).iter().filter(|d| d.state == State::Dead { reason: Reason::Expired }).count();
    assert_eq!(expired, 10);
}

#[tokio::test]
async fn size_limit_removes_delivered_then_dead_never_live() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit_large(&queue, 0..1500, |_| sub).await;
    let at = now();
    settle_all(&queue, &all[..500], at, DEAD).await;
    settle_all(&queue, &all[500..1000], at, State::Delivered).await;
    let full = pass(&queue, &policy(), at).await;
    assert_eq!((full.delivered, full.dead), (0, 0));

    let three_quarters = Retention { max_bytes: full.bytes * 3 / 4, ..policy() };
    let after = pass(&queue, &three_quarters, at).await;
    assert!(after.bytes <= three_quarters.max_bytes && after.bytes > full.bytes * 7 / 10, "{after:?}");
    assert_eq!((after.dead, after.only_live_left), (0, false));
    let one_fifth = Retention { max_bytes: full.bytes / 5, ..policy() };
    let rest = pass(&queue, &one_fifth, at).await;
    assert_eq!((after.delivered + rest.delivered, rest.dead, rest.only_live_left), (500, 500, true));
    assert_eq!(claim_all(&queue, sub).await.deliveries.len(), 500);
    queue.close().await.unwrap();
    let size = std::fs::metadata(file(dir.path())).unwrap().len();
    assert!(size < full.bytes * 2 / 3, "the file shrinks: {size} of {}", full.bytes);
}

#[tokio::test]
async fn size_limit_removes_parked_deliveries_last_oldest_first() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let all = admit_large(&queue, 0..1200, |n| subs[n % 2]).await;
    let at = now();
    let live_of = |sub: usize| all[..800].iter().skip(sub).step_by(2).copied().collect::<Vec<_>>();
    settle_all(&queue, &all[800..1000], at, DEAD).await;
    settle_all(&queue, &all[1000..], at, State::Delivered).await;
    let retrying = live_of(1)[..100].to_vec();
    settle_all(&queue, &retrying, at, State::Retrying { due_at: at.after(DAY) }).await;
    let full = pass(&queue, &policy(), at).await.bytes;

    let parked = parking(subs[1]);
    let half = Retention { max_bytes: full / 2, ..parked.clone() };
    let after = pass(&queue, &half, at).await;
    // The newest event is kept even without its delivery.
    assert_eq!((after.delivered, after.dead, after.expired, after.only_live_left), (200, 200, 0, false));
    assert!((190..=215).contains(&after.parked), "{after:?}");
    assert!(after.bytes <= half.max_bytes);
    let left: Vec<DeliveryId> = list(dir.path()).iter().rev().map(|listed| listed.id).collect();
    let newest = &live_of(1)[usize::try_from(after.parked).unwrap()..];
    let mut expected = [&live_of(0), newest].concat();
    expected.sort();
    assert_eq!(left, expected);

    let nothing = Retention { max_bytes: 0, ..parked };
    let rest = pass(&queue, &nothing, at).await;
    assert_eq!((after.parked + rest.parked, rest.only_live_left), (400, true));
    assert_eq!(ids(&claim_all(&queue, subs[0]).await.deliveries), live_of(0));
}

#[tokio::test]
async fn newly_delivered_deliveries_are_removed_before_parked_ones() {
    let (_dir, queue, subs) = new_queue::<2>().await;
    let all = admit_large(&queue, 0..600, |n| subs[usize::from(n < 300)]).await;
    let at = now();
    let full = pass(&queue, &policy(), at).await.bytes;
    let limit = |max_bytes| Retention { max_bytes, ..parking(subs[1]) };
    assert!((50..200).contains(&pass(&queue, &limit(full * 4 / 5), at).await.parked));
    settle_all(&queue, &all[300..], at, State::Delivered).await;
    let after = pass(&queue, &limit(full / 2), at).await;
    assert_eq!(after.parked, 0);
    assert!((150..250).contains(&after.delivered), "{after:?}");
}

#[tokio::test]
async fn retention_step_is_bounded_in_bytes() {
    let (_dir, queue, [sub]) = new_queue().await;
    let batch = (0..24).map(|n| admission(event_of(n, MAX_BODY_BYTES), &[sub], true)).collect();
    let all: Vec<_> = queue.admit(batch).await.unwrap().iter().map(|admitted| admitted.first).collect();
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    let step = queue.prune(policy(), at.after(2 * DAY)).await.unwrap();
    assert!((1..=4).contains(&step.delivered) && step.more, "{step:?}");
    assert_eq!(pass(&queue, &policy(), at.after(2 * DAY)).await.delivered, 24 - step.delivered);
}

#[tokio::test]
async fn rolled_back_step_is_repeated() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..1500, sub, true).await;
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    let step =
        with_rollback(dir.path(), &queue, sub, queue.prune(policy(), at.after(2 * DAY))).await.unwrap();
    assert!(step.delivered > 0 && step.more, "{step:?}");
    let rest = pass(&queue, &policy(), at.after(2 * DAY)).await;
    assert_eq!(step.delivered + rest.delivered, 1500, "the rolled-back rows are not skipped");
    assert!(list(dir.path()).is_empty());
}

#[tokio::test]
async fn ids_are_not_reused_after_everything_is_removed() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..10, sub, true).await;
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    assert_eq!(pass(&queue, &policy(), at.after(2 * DAY)).await.delivered, 10);
    assert_eq!(body_bytes(dir.path()), 0, "the newest event too keeps only its number");
    assert!(admit_one(&queue, event(9), &[sub], false).await.duplicate, "it is still deduplicated");
    queue.close().await.unwrap();
    let queue = open(dir.path());
    assert!(admit(&queue, 10..11, sub, true).await[0] > all[9]);
}

fn body_bytes(dir: &Path) -> i64 {
    sqlite(dir).query_row("SELECT coalesce(sum(length(body)), 0) FROM events", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn only_the_size_limit_removes_without_a_trusted_time() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let all = admit_large(&queue, 0..40, |n| subs[n % 2]).await;
    settle_all(&queue, &all[..20], now(), State::Delivered).await;
    let none = Retention {
        delivered_age: Duration::ZERO,
        dead_age: Duration::ZERO,
        parked_age: Duration::ZERO,
        ..parking(subs[1])
    };
    let full = pass(&queue, &none, None).await;
    assert_eq!((full.delivered, full.expired, full.parked), (0, 0, 0));
    assert_eq!(list(dir.path()).len(), 40);
    let small = Retention { max_bytes: full.bytes / 2, ..none };
    assert_eq!(pass(&queue, &small, None).await.delivered, 20, "delivered ones are removed first");
}

#[tokio::test]
async fn implausible_settlement_time_falls_back_to_admission() {
    let (_dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..3, sub, false).await;
    settle_all(&queue, &all[..1], UnixMicros(0), State::Delivered).await;
    settle_all(&queue, &all[1..2], now().after(400 * DAY), State::Delivered).await;
    settle_all(&queue, &all[2..], now().after(400 * DAY), DEAD).await;
    assert_eq!(
        pass(&queue, &policy(), now()).await.delivered,
        0,
        "no settlement counts as older than its admission"
    );
    let after = pass(&queue, &policy(), now().after(2 * DAY)).await;
    assert_eq!(
        (after.delivered, after.dead),
        (2, 0),
        "the admission time replaces an implausible settlement time"
    );
    assert_eq!(pass(&queue, &policy(), now().after(31 * DAY)).await.dead, 1);
}
