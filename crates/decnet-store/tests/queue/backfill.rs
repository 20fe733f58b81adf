//! A backfill sends each stored event once to a subscription that did not get it.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::limits::{MAX_REDELIVERY_RATE, OPERATOR_STEP_ROWS};
use decnet_core::severity::Severity;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::delivery_rules::RuleResult;
use decnet_store::queue::{
    Backfill, BackfillTarget, Backfilled, DeliveryId, Erasure, ErasureTarget, ExternalWriter, Reader,
    Retention,
};

use super::support::*;

const FAST: NonZeroU32 = NonZeroU32::new(MAX_REDELIVERY_RATE).unwrap();

/// Returns a backfill of all stored events to the subscription `n` of the tests.
fn target(n: usize) -> BackfillTarget {
    BackfillTarget {
        uuid: format!("uuid-{n}").into(),
        name: format!("name-{n}").into(),
        patterns: vec![Pattern::new("decky.>").unwrap()],
        since: UnixMicros(0),
        until: None,
        limit: None,
    }
}

fn begin(dir: &Path, target: BackfillTarget) -> Backfill {
    Backfill::begin(&Reader::open(dir).unwrap(), target).unwrap()
}

fn all(_: &Event) -> RuleResult {
    RuleResult::Delivered
}

/// Runs all steps.
fn run(dir: &Path, target: BackfillTarget, rules: impl Fn(&Event) -> RuleResult) -> Backfilled {
    let (reader, mut writer) = (Reader::open(dir).unwrap(), ExternalWriter::open(dir).unwrap());
    let mut backfill = begin(dir, target);
    while backfill.step(&reader, Some(&mut writer), FAST, &rules).unwrap().is_some() {}
    *backfill.done()
}

fn made(count: u64) -> Backfilled {
    Backfilled { made: count, ..Backfilled::default() }
}

/// Returns the ids of the deliveries of a subscription, oldest first.
fn deliveries(dir: &Path, uuid: &str) -> Vec<DeliveryId> {
    let listed = list(dir).into_iter().rev().filter(|listed| &*listed.subscription_uuid == uuid);
    listed.map(|listed| listed.id).collect()
}

#[tokio::test]
async fn stored_events_are_sent_once_to_a_new_subscription() {
    let (dir, queue, [old]) = new_queue().await;
    let count = 2 * OPERATOR_STEP_ROWS + 7;
    let admitted = admit(&queue, 0..count, old, true).await;
    queue.changed_elsewhere().await.unwrap();
    assert_eq!(run(dir.path(), target(1), all), made(count as u64));
    assert!(queue.changed_elsewhere().await.unwrap());
    let again = Backfilled { existing: count as u64, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(1), all), again);

    // The subscription has the key that the backfill has given to it.
    let new = subscriptions(&queue, 2).await[1];
    let live = admit(&queue, count..count + 1, new, false).await;
    let claimed = ids(&claim_all(&queue, new).await.deliveries);
    let backfilled: Vec<_> = admitted.iter().map(|id| id.plus(1)).collect();
    assert_eq!(
        claimed,
        [live, backfilled.clone()].concat(),
        "live traffic first, then in order of admission"
    );
    settle_all(&queue, &backfilled, now(), State::Dead { reason: Reason::Refused }).await;
    let again = Backfilled { existing: count as u64 + 1, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(1), all), again, "dead deliveries are redelivered, not backfilled");
}

#[tokio::test]
async fn topic_time_rules_and_limit_select_events() {
    let (dir, queue, [old]) = new_queue().await;
    admit(&queue, 0..10, old, true).await;
    let one = BackfillTarget { patterns: vec![Pattern::new("decky.web-3.*").unwrap()], ..target(1) };
    assert_eq!(run(dir.path(), one, all), made(1));
    let late = BackfillTarget { since: now().after(Duration::from_secs(60)), ..target(2) };
    assert_eq!(run(dir.path(), late, all), made(0));
    let early = BackfillTarget { until: Some(UnixMicros(1)), ..target(2) };
    assert_eq!(run(dir.path(), early, all), made(0));
    let rules = |event: &Event| match &*event.id {
        "event-0" | "event-1" => RuleResult::FilteredOut,
        "event-2" => RuleResult::BelowFloor { severity: Severity::Low, floor: Severity::High },
        "event-3" => RuleResult::Failed("no field".into()),
        _ => RuleResult::Delivered,
    };
    let selected = Backfilled { made: 6, excluded: 3, failed: 1, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(2), rules), selected);
    assert_eq!(run(dir.path(), BackfillTarget { limit: Some(4), ..target(3) }, all), made(4));
    let rest = Backfilled { made: 6, existing: 4, ..Backfilled::default() };
    assert_eq!(run(dir.path(), BackfillTarget { limit: Some(6), ..target(3) }, all), rest);
}

#[tokio::test]
async fn operational_events_are_not_backfilled() {
    let (dir, queue, [old]) = new_queue().await;
    admit_one(&queue, Event { operational: true, ..event(0) }, &[old], true).await;
    assert_eq!(run(dir.path(), target(1), all), made(0));
}

#[tokio::test]
async fn dry_run_counts_and_creates_nothing() {
    let (dir, queue, [old]) = new_queue().await;
    admit(&queue, 0..5, old, true).await;
    let reader = Reader::open(dir.path()).unwrap();
    let mut dry = begin(dir.path(), BackfillTarget { limit: Some(3), ..target(1) });
    while dry.step(&reader, None, FAST, all).unwrap().is_some() {}
    assert_eq!((*dry.done(), list(dir.path()).len()), (made(3), 5));
    assert_eq!(run(dir.path(), target(1), all), made(5));
}

#[tokio::test]
async fn erased_events_are_skipped_and_counted() {
    let (dir, queue, [old]) = new_queue().await;
    let admitted = admit(&queue, 0..3, old, true).await;
    settle_all(&queue, &admitted, now(), State::Delivered).await;
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    let erased = ErasureTarget::Event("event-1".into());
    let mut erasure = Erasure::begin(&writer, erased, false).unwrap().unwrap();
    assert!(erasure.run(&mut writer, now, |_, _| true).unwrap());
    let expected = Backfilled { made: 2, erased: 1, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(1), all), expected);
}

#[tokio::test]
async fn events_with_removed_deliveries_are_not_sent_again() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let old = admit_one(&queue, event(0), &subs, true).await.first;
    settle_all(&queue, &[old], now(), State::Dead { reason: Reason::Refused }).await;
    settle_all(&queue, &[old.plus(1)], now(), State::Delivered).await;
    let delivered = Retention { delivered_age: Duration::ZERO, ..keep_all() };
    prune_all(&queue, &delivered, now().after(Duration::from_secs(60))).await;
    assert_eq!(deliveries(dir.path(), "uuid-1"), [], "the delivery was removed, but not the event");
    let new = admit(&queue, 1..2, subs[0], true).await[0];
    let expected = Backfilled { made: 1, unknown: 1, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(1), all), expected);
    assert_eq!(deliveries(dir.path(), "uuid-1"), [new.plus(1)]);
}

#[tokio::test]
async fn concurrent_backfills_create_each_delivery_once() {
    let (dir, queue, [old]) = new_queue().await;
    admit(&queue, 0..50, old, true).await;
    let reader = Reader::open(dir.path()).unwrap();
    let rate = NonZeroU32::new(100).unwrap();
    let mut first = begin(dir.path(), target(1));
    let mut writer = ExternalWriter::open(dir.path()).unwrap();
    // Another backfill creates the first deliveries while this one decides about the first event.
    let mut other = Some(begin(dir.path(), target(1)));
    let racing = |_: &Event| {
        if let Some(mut other) = other.take() {
            let mut writer = ExternalWriter::open(dir.path()).unwrap();
            other.step(&reader, Some(&mut writer), rate, all).unwrap();
        }
        RuleResult::Delivered
    };
    first.step(&reader, Some(&mut writer), rate, racing).unwrap();
    assert_eq!(*first.done(), Backfilled { existing: 10, ..Backfilled::default() });
    while first.step(&reader, Some(&mut writer), rate, all).unwrap().is_some() {}
    assert_eq!(first.done().made, 40);
    assert_eq!(deliveries(dir.path(), "uuid-1").len(), 50);
}

#[tokio::test]
async fn interrupted_backfill_is_continued_by_the_next() {
    let (dir, queue, [old]) = new_queue().await;
    admit(&queue, 0..30, old, true).await;
    let (reader, mut writer) = (Reader::open(dir.path()).unwrap(), ExternalWriter::open(dir.path()).unwrap());
    let mut interrupted = begin(dir.path(), target(1));
    let rate = NonZeroU32::new(100).unwrap();
    assert_eq!(interrupted.length(), 30);
    let pause = interrupted.step(&reader, Some(&mut writer), rate, all).unwrap();
    assert_eq!((pause, interrupted.position()), (Some(Duration::from_millis(100)), 10));
    let rest = Backfilled { made: 20, existing: 10, ..Backfilled::default() };
    assert_eq!(run(dir.path(), target(1), all), rest);
}
