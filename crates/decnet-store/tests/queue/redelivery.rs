//! A redelivery is a new delivery of the same event, behind live traffic.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use decnet_core::delivery::{DeliveryStatus, Reason, State};
use decnet_core::limits::{MAX_REDELIVERY_RATE, OPERATOR_STEP_ROWS};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::topic::Pattern;
use decnet_store::catalog::{Catalog, Create, NewSubscription};
use decnet_store::queue::{
    ActiveSubscriptions, DeliveryId, Erasure, ErasureTarget, Error, ExternalWriter, Filter, Reader,
    Redelivery, Retention,
};

use super::support::*;

const FAST: NonZeroU32 = NonZeroU32::new(MAX_REDELIVERY_RATE).unwrap();

fn reader_and_writer(dir: &Path) -> (Reader, ExternalWriter) {
    (Reader::open(dir).unwrap(), ExternalWriter::open(dir).unwrap())
}

/// Runs all steps. Returns the new deliveries.
fn run_all(redelivery: &mut Redelivery, writer: &mut ExternalWriter) -> Vec<DeliveryId> {
    let mut made = Vec::new();
    while let Some(step) = redelivery.step(writer, FAST, &ActiveSubscriptions::default()).unwrap() {
        assert!(step.made.len() <= OPERATOR_STEP_ROWS);
        made.extend(step.made);
    }
    assert_eq!(redelivery.done(), redelivery.total());
    made
}

fn select_ids(reader: &Reader, ids: &[DeliveryId]) -> Result<Redelivery, Error> {
    Redelivery::of(ids, reader, &ActiveSubscriptions::default())
}

fn select(reader: &Reader, filter: &Filter) -> Redelivery {
    Redelivery::select(reader, filter, || true).unwrap().unwrap()
}

#[tokio::test]
async fn redeliveries_are_detected_and_follow_live_traffic() {
    let (dir, queue, [sub]) = new_queue().await;
    let old = admit(&queue, 0..2, sub, true).await;
    settle_all(&queue, &old, now(), State::Delivered).await;
    assert!(!queue.changed_elsewhere().await.unwrap());

    let again = redeliver(dir.path(), &[old[1], old[0], old[1]]).unwrap();
    assert_eq!(again, [old[1].plus(1), old[0].plus(1), old[1].plus(2)]);
    assert!(queue.changed_elsewhere().await.unwrap());
    assert!(!queue.changed_elsewhere().await.unwrap());

    let live = admit(&queue, 2..4, sub, false).await;
    let claimed = claim_all(&queue, sub).await.deliveries;
    assert_eq!(ids(&claimed), [live[0], live[1], again[1], again[0], again[2]]);
    assert_eq!(*claimed[2].event, event(0));
    settle_all(&queue, &again, now(), State::Delivered).await;
    assert!(admit_one(&queue, event(0), &[sub], false).await.duplicate);
}

#[tokio::test]
async fn failures_are_grouped_by_subscription_and_reason() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let (first, second) =
        (admit(&queue, 0..4, subs[0], true).await, admit(&queue, 4..6, subs[1], true).await);
    let at = now();
    settle_all(&queue, &first[..3], at, State::Dead { reason: Reason::Refused }).await;
    settle_all(&queue, &first[3..], at, State::Delivered).await;
    settle_all(&queue, &second, at, State::Dead { reason: Reason::Timeout }).await;
    redeliver(dir.path(), &[first[0]]).unwrap();
    redeliver(dir.path(), &second).unwrap();
    let settled_at = Reader::open(dir.path()).unwrap().get(first[0]).unwrap().unwrap().listed.settled_at;
    assert!(settled_at >= Some(at));
    let found = Reader::open(dir.path()).unwrap().failures().unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|group| {
            assert_eq!(group.oldest_at, group.newest_at, "all became dead at the same time");
            (&*group.name, group.reason, group.open, group.redelivered, group.newest_at)
        })
        .collect();
    let expected =
        [("name-0", Reason::Refused, 2, 1, settled_at), ("name-1", Reason::Timeout, 0, 2, settled_at)];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn unknown_delivery_is_rejected_without_changes() {
    let (dir, queue, [sub]) = new_queue().await;
    let existing = admit(&queue, 0..1, sub, true).await[0];
    settle_all(&queue, &[existing], now(), State::Delivered).await;
    let refused = redeliver(dir.path(), &[existing, existing.plus(5)]).unwrap_err();
    assert!(matches!(refused, Error::UnknownDelivery(id) if id == existing.plus(5)));
    assert_eq!(list(dir.path()).len(), 1);
}

#[tokio::test]
async fn unfinished_deliveries_are_not_redelivered() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..4, sub, true).await;
    queue.release(vec![all[1]]).await.unwrap();
    let due_at = now().after(Duration::from_secs(3600));
    settle_all(&queue, &all[2..3], now(), State::Retrying { due_at }).await;
    settle_all(&queue, &all[3..], now(), State::Dead { reason: Reason::Refused }).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    for id in &all[..3] {
        let refused = writer.redeliver(&[all[3], *id], &ActiveSubscriptions::default()).unwrap_err();
        assert!(matches!(refused, Error::NotFinal(refused) if refused == *id), "{refused}");
        assert!(matches!(select_ids(&reader, &[all[3], *id]), Err(Error::NotFinal(_))));
    }
    for (statuses, expected) in [
        (vec![], (1, 3)),
        (vec![DeliveryStatus::Dead], (1, 0)),
        (vec![DeliveryStatus::Pending], (0, 2)),
        (vec![DeliveryStatus::Retrying], (0, 1)),
        (vec![DeliveryStatus::Dead, DeliveryStatus::Pending], (1, 2)),
    ] {
        let filter = Filter { statuses: statuses.clone(), ..Filter::default() };
        let selected = select(&reader, &filter);
        assert_eq!((selected.total(), selected.not_final), expected, "{statuses:?}");
    }
    assert_eq!(list(dir.path()).len(), 4, "no delivery was created");
}

#[tokio::test]
async fn checkpoints_of_the_queue_are_not_external_changes() {
    let (dir, queue, [sub]) = new_queue().await;
    queue.changed_elsewhere().await.unwrap();
    for n in 0..600 {
        admit_one(&queue, event_of(n, 64 * 1024), &[sub], true).await;
    }
    list(dir.path());
    assert!(!queue.changed_elsewhere().await.unwrap());
}

#[tokio::test]
async fn external_change_is_reported_again_after_a_rollback() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..1, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    queue.changed_elsewhere().await.unwrap();
    redeliver(dir.path(), &all).unwrap();
    let changed = with_rollback(dir.path(), &queue, sub, queue.changed_elsewhere()).await;
    assert!(changed.unwrap());
}

#[tokio::test]
async fn filtered_redelivery_excludes_its_own_deliveries() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..500, sub, true).await;
    settle_all(&queue, &all[..450], now(), State::Delivered).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    assert!(
        Redelivery::select(&reader, &Filter::default(), || false).unwrap().is_none(),
        "the selection was cancelled"
    );
    let mut redelivery = select(&reader, &Filter::default());
    assert_eq!((redelivery.total(), redelivery.not_final), (450, 50), "only final deliveries");
    let made = run_all(&mut redelivery, &mut writer);
    let expected: Vec<_> = all[..450].iter().map(|id| id.plus(1)).collect();
    assert_eq!(made, expected, "in the order of admission");
    let again = select(&reader, &Filter::default());
    assert_eq!((again.total(), again.not_final, again.superseded), (0, 500, 450));
    settle_all(&queue, &made, now(), State::Delivered).await;
    let newest = select(&reader, &Filter { limit: Some(3), ..Filter::default() });
    assert_eq!(newest.total(), 3);
    assert!(matches!(select_ids(&reader, &[all[0].plus(9)]), Err(Error::UnknownDelivery(_))));
}

#[tokio::test]
async fn repeated_redelivery_sends_each_event_once_per_round() {
    let (dir, queue, subs) = new_queue::<3>().await;
    let admissions = (0..20).map(|n| admission(event(n), &subs, true)).collect();
    let admitted = queue.admit(admissions).await.unwrap();
    let mut waiting: Vec<_> =
        admitted.iter().flat_map(|one| (0..3).map(|number| one.first.plus(number))).collect();
    let (reader, mut writer) = reader_and_writer(dir.path());
    let dead = with_status(DeliveryStatus::Dead);
    for round in 0..4 {
        settle_all(&queue, &waiting, now(), State::Dead { reason: Reason::Refused }).await;
        let mut redelivery = select(&reader, &dead);
        assert_eq!((redelivery.total(), redelivery.superseded), (60, 60 * round), "round {round}");
        waiting = run_all(&mut redelivery, &mut writer);
        assert_eq!(waiting.len(), 60);
    }
    settle_all(&queue, &waiting, now(), State::Delivered).await;
    let recovered = select(&reader, &dead);
    assert_eq!((recovered.total(), recovered.superseded), (0, 240), "delivered events are not sent again");
}

#[tokio::test]
async fn pruned_successful_redelivery_still_supersedes() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let admitted = admit_one(&queue, event(0), &subs, true).await.first;
    let both = [admitted, admitted.plus(1)];
    settle_all(&queue, &both, now(), State::Dead { reason: Reason::Refused }).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    let dead = with_status(DeliveryStatus::Dead);
    let mut slow = select(&reader, &dead);
    let made = run_all(&mut select(&reader, &dead), &mut writer);
    assert_eq!(made, [admitted.plus(2), admitted.plus(3)]);
    settle_all(&queue, &made, now(), State::Delivered).await;
    let delivered = Retention { delivered_age: Duration::ZERO, ..keep_all() };
    prune_all(&queue, &delivered, now().after(Duration::from_secs(60))).await;
    let left: Vec<_> = list(dir.path()).iter().rev().map(|listed| (listed.id, listed.again)).collect();
    assert_eq!(left, [(both[0], Some(made[0])), (both[1], Some(made[1]))]);
    assert_eq!(run_all(&mut slow, &mut writer), [], "an earlier selection skips them too");
    let recovered = select(&reader, &dead);
    assert_eq!((recovered.total(), recovered.superseded), (0, 2));
    // Ids that are named explicitly are sent again, once each, and last.
    let mut named = select_ids(&reader, &[both[1], both[1]]).unwrap();
    assert_eq!(run_all(&mut named, &mut writer), [admitted.plus(4)]);
    assert_eq!(
        writer.redeliver(&both, &ActiveSubscriptions::default()).unwrap(),
        [admitted.plus(5), admitted.plus(6)]
    );
}

#[tokio::test]
async fn only_one_delivery_of_an_event_is_redelivered() {
    let (dir, queue, [sub]) = new_queue().await;
    let first = admit(&queue, 0..1, sub, true).await[0];
    settle_all(&queue, &[first], now(), State::Delivered).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    let mut last = writer.redeliver(&[first], &ActiveSubscriptions::default()).unwrap()[0];
    for turn in 0..4 {
        settle_all(&queue, &[last], now(), State::Delivered).await;
        let ids = if turn % 2 == 0 { [first, last] } else { [last, first] };
        let made = run_all(&mut select_ids(&reader, &ids).unwrap(), &mut writer);
        assert_eq!(made, [last.plus(1)]);
        last = made[0];
        let all = select(&reader, &Filter::default());
        assert_eq!((all.total(), all.not_final, all.superseded), (0, 1, 2 + turn));
    }
}

#[tokio::test]
async fn erased_delivery_is_rejected_by_id() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..2, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    let mut erasure =
        Erasure::begin(&writer, ErasureTarget::Event("event-1".into()), false).unwrap().unwrap();
    let mut selected = select_ids(&reader, &all).unwrap();
    assert!(erasure.run(&mut writer, now, |_, _| true).unwrap());
    let refused = select_ids(&reader, &all).unwrap_err();
    assert!(matches!(refused, Error::Erased(id) if id == all[1]), "{refused}");
    assert_eq!(
        run_all(&mut selected, &mut writer),
        [all[0].plus(1)],
        "deliveries erased since the selection are skipped"
    );
}

#[tokio::test]
async fn overlapping_redeliveries_send_each_event_once() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..20, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    let mut both = [select(&reader, &Filter::default()), select_ids(&reader, &all).unwrap()];
    let made: Vec<_> = both.iter_mut().map(|redelivery| run_all(redelivery, &mut writer).len()).collect();
    assert_eq!((made, both[1].done()), (vec![20, 0], 20));
    assert_eq!(list(dir.path()).len(), 40);
}

#[tokio::test]
async fn redelivery_respects_its_rate_from_the_first_step() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..2 * OPERATOR_STEP_ROWS, sub, true).await;
    settle_all(&queue, &all, now(), State::Delivered).await;
    let (reader, mut writer) = reader_and_writer(dir.path());
    for (rate, expected) in [(1, 1), (10, 1), (11, 2), (100, 10), (1000, 100), (100_000, OPERATOR_STEP_ROWS)]
    {
        let rate = NonZeroU32::new(rate).unwrap();
        let step = select(&reader, &Filter { limit: Some(OPERATOR_STEP_ROWS), ..Filter::default() })
            .step(&mut writer, rate, &ActiveSubscriptions::default())
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

/// Creates a catalog with these subscriptions. Returns its active subscriptions and their UUIDs.
fn active(dir: &Path, names: &[&str]) -> (ActiveSubscriptions, Vec<String>) {
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
    (ActiveSubscriptions::of(catalog.rows().unwrap()), uuids)
}

#[tokio::test]
async fn deleted_subscription_gets_no_redelivery() {
    let (dir, queue, []) = new_queue().await;
    let (active, uuids) = active(dir.path(), &["kept"]);
    let subs = [(&*uuids[0], "kept"), ("deleted-uuid", "gone")];
    let subs = queue.register(subs.map(|(uuid, name)| (uuid.into(), name.into())).into()).await.unwrap();
    let kept = admit(&queue, 0..3, subs[0], true).await;
    let gone = admit(&queue, 3..7, subs[1], true).await;
    let all = [kept.clone(), gone.clone()].concat();
    settle_all(&queue, &all, now(), State::Dead { reason: Reason::BodyRefused }).await;
    let (reader, mut writer) = reader_and_writer(dir.path());

    let refused = writer.redeliver(&[kept[0], gone[0]], &active).unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the subscription `gone` of delivery {} is deleted; the event cannot be sent to it", gone[0])
    );
    assert!(matches!(Redelivery::of(&gone, &reader, &active), Err(Error::SubscriptionDeleted { .. })));
    let filter = Filter { active: active.clone(), ..Filter::default() };
    let mut selected = select(&reader, &filter);
    assert_eq!((selected.total(), selected.deleted, selected.not_final), (3, 4, 0));
    let mut selected_before = select(&reader, &Filter::default());
    let step = selected_before.step(&mut writer, FAST, &active).unwrap().unwrap();
    assert_eq!((selected_before.total(), step.made.len()), (7, 3), "deleted between selection and step");
    assert_eq!(run_all(&mut selected, &mut writer), [], "already sent again");
    assert_eq!(list(dir.path()).len(), all.len() + 3);
    let of_gone = Filter { subscription: Some("gone".into()), ..filter };
    assert_eq!((select(&reader, &of_gone).total(), select(&reader, &of_gone).deleted), (0, 4));
}
