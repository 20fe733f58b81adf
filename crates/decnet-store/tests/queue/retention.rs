//! Retention: by age and by size, in small steps, and never what is still to be delivered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::limits::{MAX_BODY_BYTES, MAX_FAN_OUT, RETENTION_STEP_ROWS};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{DeliveryId, Queue, Retained, Retention, SubscriptionKey};

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

/// Admits events that fill most of a page each, so that with each that goes a page is free.
async fn admit_large(
    queue: &Queue,
    range: std::ops::Range<usize>,
    sub: impl Fn(usize) -> SubscriptionKey,
) -> Vec<DeliveryId> {
    let batch = range.map(|n| admission(event_of(n, 12_000), &[sub(n)], false)).collect();
    queue.admit(batch).await.unwrap().iter().map(|admitted| admitted.first).collect()
}

/// A whole round; what its steps did together.
async fn pass(queue: &Queue, policy: &Retention, now: UnixMicros) -> Retained {
    let mut sum = Retained::default();
    loop {
        let step = queue.retain(policy.clone(), now).await.unwrap();
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
async fn each_kind_goes_at_its_own_age_and_the_living_stay() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
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
    let attempts: i64 = rusqlite::Connection::open(file(dir.path()))
        .unwrap()
        .query_row("SELECT count(*) FROM attempts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(attempts, 100, "attempts go with their deliveries");
}

#[tokio::test]
async fn an_event_stays_while_one_of_its_deliveries_does() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let first = queue.admit([admission(event(0), &subs, false)].into()).await.unwrap()[0].first;
    admit(&queue, 1..2, subs[0], true).await;
    let at = now();
    settle_all(&queue, &[first], at, State::Delivered).await;
    let after = pass(&queue, &policy(), at.after(2 * DAY)).await;
    assert_eq!((after.delivered, after.events), (1, 0));
    assert_eq!(*claim_all(&queue, subs[1]).await.deliveries[0].event, event(0));
}

#[tokio::test]
async fn only_what_is_parked_expires() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    admit(&queue, 0..10, subs[0], false).await;
    admit(&queue, 10..20, subs[1], false).await;
    let parked = Retention { parked: Arc::new([subs[1]].into_iter().collect()), ..policy() };
    assert_eq!(pass(&queue, &parked, now().after(DAY)).await.expired, 0);
    assert_eq!(pass(&queue, &parked, now().after(8 * DAY)).await.expired, 10);
    assert_eq!(claim_all(&queue, subs[0]).await.deliveries.len(), 10);
    assert!(claim_all(&queue, subs[1]).await.deliveries.is_empty());
    let expired =
        list(dir.path()).iter().filter(|d| d.state == State::Dead { reason: Reason::Expired }).count();
    assert_eq!(expired, 10);
}

#[tokio::test]
async fn size_takes_delivered_ones_first_then_dead_ones_and_never_the_living() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit_large(&queue, 0..1500, |_| sub).await;
    let at = now();
    settle_all(&queue, &all[..500], at, DEAD).await;
    settle_all(&queue, &all[500..1000], at, State::Delivered).await;
    let full = pass(&queue, &policy(), at).await;
    assert_eq!((full.delivered, full.dead), (0, 0));

    let mostly = Retention { max_bytes: full.bytes * 3 / 4, ..policy() };
    let after = pass(&queue, &mostly, at).await;
    assert!(after.bytes <= mostly.max_bytes && after.bytes > full.bytes * 7 / 10, "{after:?}");
    assert_eq!((after.dead, after.only_live_left), (0, false));
    let little = Retention { max_bytes: full.bytes / 5, ..policy() };
    let rest = pass(&queue, &little, at).await;
    assert_eq!((after.delivered + rest.delivered, rest.dead, rest.only_live_left), (500, 500, true));
    assert_eq!(claim_all(&queue, sub).await.deliveries.len(), 500);
    queue.close().await.unwrap();
    let size = std::fs::metadata(file(dir.path())).unwrap().len();
    assert!(size < full.bytes * 2 / 3, "the space is given back: {size} of {}", full.bytes);
}

#[tokio::test]
async fn what_is_parked_goes_last_for_its_size_the_oldest_first_and_no_more_than_needed() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let all = admit_large(&queue, 0..1200, |n| subs[n % 2]).await;
    let at = now();
    let owed_by = |sub: usize| all[..800].iter().skip(sub).step_by(2).copied().collect::<Vec<_>>();
    settle_all(&queue, &all[800..1000], at, DEAD).await;
    settle_all(&queue, &all[1000..], at, State::Delivered).await;
    let retrying = owed_by(1)[..100].to_vec();
    settle_all(&queue, &retrying, at, State::Retrying { due_at: at.after(DAY) }).await;
    let full = pass(&queue, &policy(), at).await.bytes;

    let parked = Retention { parked: Arc::new([subs[1]].into_iter().collect()), ..policy() };
    let half = Retention { max_bytes: full / 2, ..parked.clone() };
    let after = pass(&queue, &half, at).await;
    // The newest event stays behind without its delivery.
    assert_eq!((after.delivered, after.dead, after.expired, after.only_live_left), (200, 200, 0, false));
    assert!((190..=215).contains(&after.parked), "{after:?}");
    assert!(after.bytes <= half.max_bytes);
    let left: Vec<DeliveryId> = list(dir.path()).iter().rev().map(|listed| listed.id).collect();
    let youngest = &owed_by(1)[usize::try_from(after.parked).unwrap()..];
    let mut expected = [&owed_by(0), youngest].concat();
    expected.sort();
    assert_eq!(left, expected);

    let nothing = Retention { max_bytes: 0, ..parked };
    let rest = pass(&queue, &nothing, at).await;
    assert_eq!((after.parked + rest.parked, rest.only_live_left), (400, true));
    assert_eq!(ids(&claim_all(&queue, subs[0]).await.deliveries), owed_by(0));
}

#[tokio::test]
async fn what_was_delivered_since_the_last_round_goes_before_what_is_parked() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let all = admit_large(&queue, 0..600, |n| subs[usize::from(n < 300)]).await;
    let at = now();
    let full = pass(&queue, &policy(), at).await.bytes;
    let limit =
        |max_bytes| Retention { max_bytes, parked: Arc::new([subs[1]].into_iter().collect()), ..policy() };
    assert!((50..200).contains(&pass(&queue, &limit(full * 4 / 5), at).await.parked));
    settle_all(&queue, &all[300..], at, State::Delivered).await;
    let after = pass(&queue, &limit(full / 2), at).await;
    assert_eq!(after.parked, 0);
    assert!((150..250).contains(&after.delivered), "{after:?}");
}

#[tokio::test]
async fn a_step_over_large_events_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let batch = (0..24).map(|n| admission(event_of(n, MAX_BODY_BYTES), &[sub], true)).collect();
    let all: Vec<_> = queue.admit(batch).await.unwrap().iter().map(|admitted| admitted.first).collect();
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    let step = queue.retain(policy(), at.after(2 * DAY)).await.unwrap();
    assert!((1..=4).contains(&step.delivered) && step.more, "{step:?}");
    assert_eq!(pass(&queue, &policy(), at.after(2 * DAY)).await.delivered, 24 - step.delivered);
}

#[tokio::test]
async fn a_step_that_was_rolled_back_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..1500, sub, true).await;
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    // While the lock is held, a step and a command that fails come into one transaction.
    let lock = rusqlite::Connection::open(file(dir.path())).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let impossible = admission(event(1500), &vec![sub; MAX_FAN_OUT as usize], false);
    let (_, step, refused, ()) = tokio::join!(
        queue.register([("uuid-0".into(), "name-0".into())].into()),
        queue.retain(policy(), at.after(2 * DAY)),
        queue.admit([impossible].into()),
        async { lock.execute_batch("COMMIT").unwrap() },
    );
    refused.unwrap_err();
    let step = step.unwrap();
    assert!(step.delivered > 0 && step.more, "{step:?}");
    let rest = pass(&queue, &policy(), at.after(2 * DAY)).await;
    assert_eq!(step.delivered + rest.delivered, 1500, "what was rolled back was not passed over");
    assert!(list(dir.path()).is_empty());
}

#[tokio::test]
async fn ids_are_not_given_again_after_everything_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..10, sub, true).await;
    let at = now();
    settle_all(&queue, &all, at, State::Delivered).await;
    assert_eq!(pass(&queue, &policy(), at.after(2 * DAY)).await.delivered, 10);
    assert_eq!(body_bytes(dir.path()), 0, "of the newest event too only its number is kept");
    // It is known if it comes again.
    assert!(queue.admit([admission(event(9), &[sub], false)].into()).await.unwrap()[0].duplicate);
    queue.close().await.unwrap();
    let queue = open(dir.path());
    assert!(admit(&queue, 10..11, sub, true).await[0] > all[9]);
}

fn body_bytes(dir: &Path) -> i64 {
    let conn = rusqlite::Connection::open(file(dir)).unwrap();
    conn.query_row("SELECT coalesce(sum(length(body)), 0) FROM events", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn without_a_trusted_time_only_size_removes() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let all = admit_large(&queue, 0..40, |n| subs[n % 2]).await;
    settle_all(&queue, &all[..20], now(), State::Delivered).await;
    let parked = Arc::new([subs[1]].into_iter().collect());
    let none = Retention {
        delivered_age: Duration::ZERO,
        dead_age: Duration::ZERO,
        parked_age: Duration::ZERO,
        parked,
        ..policy()
    };
    let step = queue.retain(none.clone(), None).await.unwrap();
    assert_eq!((step.delivered, step.expired, step.parked), (0, 0, 0));
    assert_eq!(list(dir.path()).len(), 40);
    let small = Retention { max_bytes: step.bytes / 2, ..none };
    let mut delivered = 0;
    loop {
        let step = queue.retain(small.clone(), None).await.unwrap();
        delivered += step.delivered;
        if !step.more {
            break;
        }
    }
    assert_eq!(delivered, 20, "what was delivered goes first");
}

#[tokio::test]
async fn a_wrong_time_of_settlement_does_not_decide_over_age() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..3, sub, false).await;
    settle_all(&queue, &all[..1], UnixMicros(0), State::Delivered).await;
    settle_all(&queue, &all[1..2], now().after(400 * DAY), State::Delivered).await;
    settle_all(&queue, &all[2..], now().after(400 * DAY), DEAD).await;
    assert_eq!(pass(&queue, &policy(), now()).await.delivered, 0, "none is older than its admission");
    let after = pass(&queue, &policy(), now().after(2 * DAY)).await;
    assert_eq!((after.delivered, after.dead), (2, 0), "the admission decides where the settlement cannot");
    assert_eq!(pass(&queue, &policy(), now().after(31 * DAY)).await.dead, 1);
}
