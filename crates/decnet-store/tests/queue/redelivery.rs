//! A redelivery is a new delivery of the same event, behind live traffic.

use decnet_core::delivery::State;
use decnet_core::limits::OPERATOR_STEP_ROWS;
use decnet_store::queue::{Error, Filter, Operator, Reader, Redelivery};

use super::support::*;

#[tokio::test]
async fn redeliveries_wait_behind_live_traffic_and_the_worker_notices() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let old = admit(&queue, 0..2, sub, true).await;
    settle_all(&queue, &old, now(), State::Delivered).await;
    assert!(!queue.changed_elsewhere().await.unwrap());

    let again = Operator::open(dir.path()).unwrap().redeliver(&[old[1], old[0], old[1]]).unwrap();
    assert_eq!(again, [old[1].plus(1), old[0].plus(1), old[1].plus(2)]);
    assert!(queue.changed_elsewhere().await.unwrap());
    assert!(!queue.changed_elsewhere().await.unwrap());

    let live = admit(&queue, 2..4, sub, false).await;
    let claimed = claim_all(&queue, sub).await.deliveries;
    assert_eq!(ids(&claimed), [live[0], live[1], again[1], again[0], again[2]]);
    assert_eq!(*claimed[2].event, event(0));
    settle_all(&queue, &again, now(), State::Delivered).await;
    assert!(queue.admit([admission(event(0), &[sub], false)].into()).await.unwrap()[0].duplicate);
}

#[tokio::test]
async fn an_unknown_delivery_is_refused_and_nothing_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let known = admit(&queue, 0..1, sub, false).await[0];
    let refused = Operator::open(dir.path()).unwrap().redeliver(&[known, known.plus(5)]).unwrap_err();
    assert!(matches!(refused, Error::UnknownDelivery(id) if id == known.plus(5)));
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn the_workers_own_checkpoints_are_no_change_from_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    queue.changed_elsewhere().await.unwrap();
    for n in 0..600 {
        queue.admit([admission(event_of(n, 64 * 1024), &[sub], true)].into()).await.unwrap();
    }
    list(dir.path());
    assert!(!queue.changed_elsewhere().await.unwrap());
}

#[tokio::test]
async fn a_redelivery_by_filter_goes_step_by_step_and_never_over_itself() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..500, sub, true).await;
    settle_all(&queue, &all[..450], now(), State::Delivered).await;
    let reader = Reader::open(dir.path()).unwrap();
    let mut operator = Operator::open(dir.path()).unwrap();
    let mut redelivery = Redelivery::choose(&reader, &Filter::default()).unwrap();
    assert_eq!(redelivery.total(), 450, "only what is final");
    let mut made = Vec::new();
    while let Some(step) = redelivery.step(&mut operator).unwrap() {
        assert!(step.len() <= OPERATOR_STEP_ROWS);
        made.extend(step);
        assert_eq!(made.len(), redelivery.done());
    }
    let expected: Vec<_> = all[..450].iter().map(|id| id.plus(1)).collect();
    assert_eq!(made, expected, "in the order of admission");
    assert_eq!(Redelivery::choose(&reader, &Filter::default()).unwrap().total(), 450);
    let newest = Redelivery::choose(&reader, &Filter { limit: Some(3), ..Filter::default() }).unwrap();
    assert_eq!(newest.total(), 3);
    assert!(matches!(Redelivery::of(vec![all[0].plus(9)], &reader), Err(Error::UnknownDelivery(_))));
}
