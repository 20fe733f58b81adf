//! A redelivery is a new delivery of the same event, behind live traffic.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use decnet_core::delivery::{Reason, Standing, State};
use decnet_core::limits::{MAX_FAN_OUT, MAX_REDELIVERY_RATE, OPERATOR_STEP_ROWS};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription};
use decnet_store::queue::{
    Active, DeliveryId, Erase, Erasure, Error, Filter, Operator, Queue, Reader, Redelivery, Retention,
};

use super::support::*;

const FAST: NonZeroU32 = NonZeroU32::new(MAX_REDELIVERY_RATE).unwrap();

/// All steps; what they made.
fn carry_out(redelivery: &mut Redelivery, operator: &mut Operator) -> Vec<DeliveryId> {
    let mut made = Vec::new();
    while let Some(step) = redelivery.step(operator, FAST, &Active::default()).unwrap() {
        assert!(step.made.len() <= OPERATOR_STEP_ROWS);
        made.extend(step.made);
    }
    assert_eq!(redelivery.done(), redelivery.total());
    made
}

/// Removes everything that is delivered.
async fn remove_delivered(queue: &Queue) {
    let day = Duration::from_secs(24 * 60 * 60);
    let policy = Retention {
        delivered_age: day,
        dead_age: 30 * day,
        parked_age: 30 * day,
        max_bytes: u64::MAX,
        parked: Default::default(),
    };
    while queue.retain(policy.clone(), now().after(2 * day)).await.unwrap().more {}
}

fn choose(reader: &Reader, filter: &Filter) -> Redelivery {
    Redelivery::choose(reader, filter, || true).unwrap().unwrap()
}

#[tokio::test]
async fn redeliveries_wait_behind_live_traffic_and_the_worker_notices() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let old = admit(&queue, 0..2, sub, true).await;
    settle_all(&queue, &old, now(), State::Delivered).await;
    assert!(!queue.changed_elsewhere().await.unwrap());

    let again =
        Operator::open(dir.path()).unwrap().redeliver(&[old[1], old[0], old[1]], &Active::default()).unwrap();
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
    let known = admit(&queue, 0..1, sub, true).await[0];
    settle_all(&queue, &[known], now(), State::Delivered).await;
    let refused = Operator::open(dir.path())
        .unwrap()
        .redeliver(&[known, known.plus(5)], &Active::default())
        .unwrap_err();
    assert!(matches!(refused, Error::UnknownDelivery(id) if id == known.plus(5)));
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn what_is_not_final_is_refused_by_its_id_and_skipped_by_a_filter() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..4, sub, true).await;
    queue.release(vec![all[1]]).await.unwrap();
    let due_at = now().after(Duration::from_secs(3600));
    settle_all(&queue, &all[2..3], now(), State::Retrying { due_at }).await;
    settle_all(&queue, &all[3..], now(), State::Dead { reason: Reason::Refused }).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    for id in &all[..3] {
        let refused = operator.redeliver(&[all[3], *id], &Active::default()).unwrap_err();
        assert!(matches!(refused, Error::NotFinal(refused) if refused == *id), "{refused}");
        assert!(matches!(
            Redelivery::of(&[all[3], *id], &reader, &Active::default()),
            Err(Error::NotFinal(_))
        ));
    }
    for (standings, expected) in [
        (vec![], (1, 3)),
        (vec![Standing::Dead], (1, 0)),
        (vec![Standing::Pending], (0, 2)),
        (vec![Standing::Retrying], (0, 1)),
        (vec![Standing::Dead, Standing::Pending], (1, 2)),
    ] {
        let filter = Filter { standings: standings.clone(), ..Filter::default() };
        let chosen = choose(&reader, &filter);
        assert_eq!((chosen.total(), chosen.not_final()), expected, "{standings:?}");
    }
    assert_eq!(list(dir.path()).len(), 4, "nothing was made");
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
async fn a_look_whose_transaction_was_rolled_back_sees_the_change_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..1, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    queue.changed_elsewhere().await.unwrap();
    Operator::open(dir.path()).unwrap().redeliver(&all, &Active::default()).unwrap();
    // While the lock is held, the look and a command that fails come into one transaction.
    let lock = rusqlite::Connection::open(file(dir.path())).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let impossible = admission(event(1), &vec![sub; MAX_FAN_OUT as usize], false);
    let (_, changed, refused, ()) = tokio::join!(
        queue.register([("uuid-0".into(), "name-0".into())].into()),
        queue.changed_elsewhere(),
        queue.admit([impossible].into()),
        async { lock.execute_batch("COMMIT").unwrap() },
    );
    refused.unwrap_err();
    assert!(changed.unwrap());
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
    assert!(
        Redelivery::choose(&reader, &Filter::default(), || false).unwrap().is_none(),
        "it was called off"
    );
    let mut redelivery = choose(&reader, &Filter::default());
    assert_eq!((redelivery.total(), redelivery.not_final()), (450, 50), "only what is final");
    let made = carry_out(&mut redelivery, &mut operator);
    let expected: Vec<_> = all[..450].iter().map(|id| id.plus(1)).collect();
    assert_eq!(made, expected, "in the order of admission");
    let again = choose(&reader, &Filter::default());
    assert_eq!((again.total(), again.not_final(), again.superseded()), (0, 500, 450));
    settle_all(&queue, &made, now(), State::Delivered).await;
    let newest = choose(&reader, &Filter { limit: Some(3), ..Filter::default() });
    assert_eq!(newest.total(), 3);
    assert!(matches!(
        Redelivery::of(&[all[0].plus(9)], &reader, &Active::default()),
        Err(Error::UnknownDelivery(_))
    ));
}

#[tokio::test]
async fn the_same_redelivery_again_and_again_sends_each_event_once_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 3).await;
    let admissions = (0..20).map(|n| admission(event(n), &subs, true)).collect();
    let admitted = queue.admit(admissions).await.unwrap();
    let mut waiting: Vec<_> =
        admitted.iter().flat_map(|one| (0..3).map(|number| one.first.plus(number))).collect();
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    let dead = Filter { standings: vec![Standing::Dead], ..Filter::default() };
    for round in 0..4 {
        settle_all(&queue, &waiting, now(), State::Dead { reason: Reason::Refused }).await;
        let mut redelivery = choose(&reader, &dead);
        assert_eq!((redelivery.total(), redelivery.superseded()), (60, 60 * round), "round {round}");
        waiting = carry_out(&mut redelivery, &mut operator);
        assert_eq!(waiting.len(), 60);
    }
    settle_all(&queue, &waiting, now(), State::Delivered).await;
    let recovered = choose(&reader, &dead);
    assert_eq!((recovered.total(), recovered.superseded()), (0, 240), "what arrived since is not sent again");
}

#[tokio::test]
async fn what_arrived_is_not_sent_again_when_retention_has_taken_it() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let subs = subscriptions(&queue, 2).await;
    let admitted = queue.admit([admission(event(0), &subs, true)].into()).await.unwrap()[0].first;
    let both = [admitted, admitted.plus(1)];
    settle_all(&queue, &both, now(), State::Dead { reason: Reason::Refused }).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    let dead = Filter { standings: vec![Standing::Dead], ..Filter::default() };
    let mut slow = choose(&reader, &dead);
    let made = carry_out(&mut choose(&reader, &dead), &mut operator);
    assert_eq!(made, [admitted.plus(2), admitted.plus(3)]);
    settle_all(&queue, &made, now(), State::Delivered).await;
    remove_delivered(&queue).await;
    let left: Vec<_> = list(dir.path()).iter().rev().map(|listed| (listed.id, listed.again)).collect();
    assert_eq!(left, [(both[0], Some(made[0])), (both[1], Some(made[1]))]);
    assert_eq!(carry_out(&mut slow, &mut operator), [], "nor by what chose it before");
    let recovered = choose(&reader, &dead);
    assert_eq!((recovered.total(), recovered.superseded()), (0, 2));
    // By their ids they are sent again, once each, and as the last ones.
    let mut named = Redelivery::of(&[both[1], both[1]], &reader, &Active::default()).unwrap();
    assert_eq!(carry_out(&mut named, &mut operator), [admitted.plus(4)]);
    assert_eq!(operator.redeliver(&both, &Active::default()).unwrap(), [admitted.plus(5), admitted.plus(6)]);
}

#[tokio::test]
async fn of_several_deliveries_of_one_event_to_one_subscription_one_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let first = admit(&queue, 0..1, sub, true).await[0];
    settle_all(&queue, &[first], now(), State::Delivered).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    let mut last = operator.redeliver(&[first], &Active::default()).unwrap()[0];
    for turn in 0..4 {
        settle_all(&queue, &[last], now(), State::Delivered).await;
        let ids = if turn % 2 == 0 { [first, last] } else { [last, first] };
        let made = carry_out(&mut Redelivery::of(&ids, &reader, &Active::default()).unwrap(), &mut operator);
        assert_eq!(made, [last.plus(1)]);
        last = made[0];
        let all = choose(&reader, &Filter::default());
        assert_eq!((all.total(), all.not_final(), all.superseded()), (0, 1, 2 + turn));
    }
}

#[tokio::test]
async fn what_was_erased_is_refused_by_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..2, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    let mut erasure = Erasure::begin(&operator, Erase::Event("event-1".into()), false).unwrap().unwrap();
    let mut chosen = Redelivery::of(&all, &reader, &Active::default()).unwrap();
    assert!(erasure.carry_out(&mut operator, now, |_, _| true).unwrap());
    let refused = Redelivery::of(&all, &reader, &Active::default()).unwrap_err();
    assert!(matches!(refused, Error::Erased(id) if id == all[1]), "{refused}");
    assert_eq!(
        carry_out(&mut chosen, &mut operator),
        [all[0].plus(1)],
        "what is erased meanwhile is left out"
    );
}

#[tokio::test]
async fn two_redeliveries_of_the_same_send_it_once() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..20, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    let mut both =
        [choose(&reader, &Filter::default()), Redelivery::of(&all, &reader, &Active::default()).unwrap()];
    let made: Vec<_> = both.iter_mut().map(|redelivery| carry_out(redelivery, &mut operator).len()).collect();
    assert_eq!((made, both[1].done()), (vec![20, 0], 20));
    assert_eq!(list(dir.path()).len(), 40);
}

#[tokio::test]
async fn a_redelivery_keeps_its_rate_from_the_first_delivery_on() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let sub = subscriptions(&queue, 1).await[0];
    let all = admit(&queue, 0..2 * OPERATOR_STEP_ROWS, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());
    for (rate, expected) in [(1, 1), (10, 1), (11, 2), (100, 10), (1000, 100), (100_000, OPERATOR_STEP_ROWS)]
    {
        let rate = NonZeroU32::new(rate).unwrap();
        let step = choose(&reader, &Filter { limit: Some(OPERATOR_STEP_ROWS), ..Filter::default() })
            .step(&mut operator, rate, &Active::default())
            .unwrap()
            .unwrap();
        assert_eq!(step.made.len(), expected, "{rate}");
        assert!(
            (step.pause.as_secs_f64() * f64::from(rate.get()) - expected as f64).abs() < 1e-3,
            "{step:?}"
        );
        settle_all(&queue, &step.made, now(), State::Delivered).await;
    }
}

/// A catalog's rows, one a name.
fn active(dir: &Path, names: &[&str]) -> (Active, Vec<String>) {
    let mut catalog = Catalog::open(&dir.join("decnet.db"), Create::IfMissing).unwrap();
    let new = |name: &&str| NewSubscription {
        name: (*name).into(),
        url: EndpointUrl::new("http://siem.example/").unwrap(),
        secret: Secret::new("a secret of the tests"),
        patterns: vec![Pattern::new("a.>").unwrap()],
        enabled: true,
        settings: Settings::default(),
    };
    let uuids = catalog.create_all(&names.iter().map(new).collect::<Vec<_>>(), now()).unwrap();
    (Active::of(catalog.rows().unwrap()), uuids)
}

#[tokio::test]
async fn a_deleted_subscription_gets_no_redelivery() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    let (active, uuids) = active(dir.path(), &["kept"]);
    let subs = [(&*uuids[0], "kept"), ("deleted-uuid", "gone")];
    let subs = queue.register(subs.map(|(uuid, name)| (uuid.into(), name.into())).into()).await.unwrap();
    let kept = admit(&queue, 0..3, subs[0], true).await;
    let gone = admit(&queue, 3..7, subs[1], true).await;
    let all = [kept.clone(), gone.clone()].concat();
    settle_all(&queue, &all, now(), State::Dead { reason: Reason::BodyRefused }).await;
    let (reader, mut operator) = (Reader::open(dir.path()).unwrap(), Operator::open(dir.path()).unwrap());

    let refused = operator.redeliver(&[kept[0], gone[0]], &active).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the subscription `gone` of delivery {} is deleted; there is nobody to send it to", gone[0])
    );
    assert!(matches!(Redelivery::of(&gone, &reader, &active), Err(Error::SubscriptionDeleted { .. })));
    let filter = Filter { active: active.clone(), ..Filter::default() };
    let mut chosen = choose(&reader, &filter);
    assert_eq!((chosen.total(), chosen.deleted(), chosen.not_final()), (3, 4, 0));
    let mut chosen_before = choose(&reader, &Filter::default());
    let step = chosen_before.step(&mut operator, FAST, &active).unwrap().unwrap();
    assert_eq!((chosen_before.total(), step.made.len()), (7, 3), "deleted between the choice and the step");
    assert_eq!(carry_out(&mut chosen, &mut operator), [], "sent again by then");
    assert_eq!(list(dir.path()).len(), all.len() + 3);
    let of_gone = Filter { subscription: Some("gone".into()), ..filter };
    assert_eq!((choose(&reader, &of_gone).total(), choose(&reader, &of_gone).deleted()), (0, 4));
}
