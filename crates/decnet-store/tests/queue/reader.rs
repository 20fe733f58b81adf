//! Readers, concurrent with the worker and without one.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};

use decnet_core::delivery::{DeliveryStatus, Reason, State};
use decnet_core::event::Event;
use decnet_core::limits::LIST_STEP_ROWS;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{
    ActiveSubscriptions, Census, CensusCounts, DeliveryId, Filter, Queue, Reader, Search, SubscriptionKey,
};

use super::support::*;

#[tokio::test]
async fn filters_and_pages_select_deliveries() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let before = now();
    let first = admit(&queue, 0..10, subs[0], true).await;
    let second = admit(&queue, 10..20, subs[1], false).await;
    let at = now();
    settle_all(&queue, &first[..2], at, State::Delivered).await;
    settle_all(&queue, &first[2..4], at, State::Dead { reason: Reason::Refused }).await;
    settle_all(&queue, &first[4..5], at, State::Retrying { due_at: at }).await;
    let reader = Reader::open(dir.path()).unwrap();
    let found = |filter: &Filter| listed_ids(&reader, filter);
    let newest_first = |ids: &[DeliveryId]| ids.iter().rev().copied().collect::<Vec<_>>();
    assert_eq!(found(&with_status(DeliveryStatus::Delivered)), newest_first(&first[..2]));
    assert_eq!(found(&with_status(DeliveryStatus::Dead)), newest_first(&first[2..4]));
    assert_eq!(found(&with_status(DeliveryStatus::Retrying)), newest_first(&first[4..5]));
    assert_eq!(found(&with_status(DeliveryStatus::Pending)).len(), 15);
    for wanted in ["uuid-1", "name-1"] {
        let filter = Filter { subscription: Some(wanted.into()), ..Filter::default() };
        assert_eq!(found(&filter), newest_first(&second));
    }
    let topic = Some(Pattern::new("decky.web-3.*").unwrap());
    assert_eq!(found(&Filter { topic, ..Filter::default() }), [first[3]]);
    let event_id = Some("event-12".to_owned());
    assert_eq!(found(&Filter { event_id, ..Filter::default() }), [second[2]]);
    assert_eq!(found(&Filter { since: Some(before), ..Filter::default() }).len(), 20);
    assert!(found(&Filter { since: Some(UnixMicros(i64::MAX)), ..Filter::default() }).is_empty());

    let mut page = Filter { limit: Some(6), ..Filter::default() };
    let mut all = Vec::new();
    loop {
        let ids = found(&page);
        all.extend_from_slice(&ids);
        page.before = ids.last().copied();
        if ids.len() < 6 {
            break;
        }
    }
    assert_eq!(all, newest_first(&[first, second].concat()));
}

#[tokio::test]
async fn newest_is_the_delivery_admitted_last() {
    let (dir, queue, [sub]) = new_queue().await;
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.newest().unwrap(), None);
    let admitted = admit(&queue, 0..3, sub, false).await;
    assert_eq!(reader.newest().unwrap(), admitted.last().copied());
}

#[tokio::test]
async fn rare_matches_are_found_among_many_deliveries() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let mut recipients = vec![subs[0]; 15_000];
    recipients[7_000] = subs[1];
    let first: Vec<DeliveryId> = two_events(&queue, &recipients).await;
    let at = now();
    let dead = [first[0].plus(3), first[1].plus(14_000)];
    settle_all(&queue, &dead, at, State::Dead { reason: Reason::Refused }).await;
    let retried = [first[0].plus(5), first[1].plus(2)];
    settle_all(&queue, &retried, at, State::Retrying { due_at: at }).await;

    let reader = Reader::open(dir.path()).unwrap();
    let found = |filter: &Filter| listed_ids(&reader, filter);
    let newest_first = |[older, newer]: [DeliveryId; 2]| [newer, older];
    assert_eq!(found(&with_status(DeliveryStatus::Dead)), newest_first(dead));
    assert_eq!(found(&with_status(DeliveryStatus::Retrying)), newest_first(retried));
    let of_second = Filter { subscription: Some("name-1".into()), ..Filter::default() };
    assert_eq!(found(&of_second), newest_first([first[0].plus(7_000), first[1].plus(7_000)]));
    let middle = Filter { before: Some(first[1].plus(1)), limit: Some(2), ..Filter::default() };
    assert_eq!(found(&middle), [first[1], first[0].plus(14_999)]);
    assert_eq!(found(&Filter::default()).len(), 30_000);
    let admitted_at = reader.get(first[1]).unwrap().unwrap().listed.admitted_at;
    let since =
        Filter { since: Some(admitted_at), statuses: vec![DeliveryStatus::Dead], ..Filter::default() };
    assert_eq!(found(&since), [dead[1]]);
}

fn listed_ids(reader: &Reader, filter: &Filter) -> Vec<DeliveryId> {
    reader.list(filter).unwrap().into_iter().map(|listed| listed.id).collect()
}

/// Admits two events at different times for the same recipients. Returns the first delivery of each.
async fn two_events(queue: &Queue, recipients: &[SubscriptionKey]) -> Vec<DeliveryId> {
    let mut first = Vec::new();
    for n in 0..2 {
        first.push(admit_one(queue, event(n), recipients, true).await.first);
        let admitted = now();
        while now() == admitted {}
    }
    first
}

#[tokio::test]
async fn delivery_detail_contains_its_event_and_attempts() {
    let (dir, queue, [sub]) = new_queue().await;
    let id = admit(&queue, 0..1, sub, true).await[0];
    let at = now();
    let settlements = [
        settlement(id, 1, at, State::Retrying { due_at: at }),
        settlement(id, 2, at, State::Retrying { due_at: at }),
        settlement(id, 3, at, State::Delivered),
    ];
    assert_eq!(queue.settle(settlements.to_vec()).await.unwrap(), [true; 3]);
    queue.close().await.unwrap();

    let reader = Reader::open(dir.path()).unwrap();
    let detail = reader.get(id).unwrap().unwrap();
    assert_eq!((detail.listed.state, detail.listed.attempts), (State::Delivered, 3));
    assert_eq!(detail.listed.settled_at, Some(at.after(std::time::Duration::from_millis(3))));
    assert_eq!((&*detail.listed.event_id, &*detail.listed.topic), ("event-0", "decky.web-0.traffic"));
    assert_eq!(detail.body, event(0).body);
    assert_eq!(detail.attempts, settlements.map(|settlement| settlement.attempt));
    assert!(reader.get(id.plus(1)).unwrap().is_none());
}

#[tokio::test]
async fn counts_are_per_subscription_and_state() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let ids = admit(&queue, 0..10, subs[0], true).await;
    let at = now();
    settle_all(&queue, &ids[..4], at, State::Delivered).await;
    settle_all(&queue, &ids[4..7], at, State::Dead { reason: Reason::Gone }).await;
    settle_all(&queue, &ids[7..9], at, State::Retrying { due_at: at }).await;
    let counts = Reader::open(dir.path()).unwrap().counts().unwrap();
    let numbers = |n: usize| {
        let c = &counts[n];
        (&*c.uuid, c.sub, c.pending, c.retrying, c.delivered, c.dead, c.oldest_pending_at.is_some())
    };
    assert_eq!(numbers(0), ("uuid-0", subs[0], 1, 2, 4, 3, true));
    assert_eq!(numbers(1), ("uuid-1", subs[1], 0, 0, 0, 0, false));
}

#[tokio::test]
async fn list_is_consistent_while_the_worker_writes() {
    let (dir, queue, [sub]) = new_queue().await;
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let (path, finished) = (dir.path().to_owned(), std::sync::Arc::clone(&done));
    let reading = tokio::task::spawn_blocking(move || {
        let reader = Reader::open(&path).unwrap();
        let mut listed = 0;
        while !finished.load(Ordering::Relaxed) {
            let all = reader.list(&Filter::default()).unwrap();
            assert!(all.is_sorted_by(|newer, older| newer.id > older.id), "newest first, without duplicates");
            assert!(all.len() >= listed && all.len().is_multiple_of(10), "readers see whole commits");
            listed = all.len();
        }
        listed
    });
    for n in (0..2000).step_by(10) {
        let ids = admit(&queue, n..n + 10, sub, true).await;
        settle_all(&queue, &ids[..5], now(), State::Delivered).await;
    }
    done.store(true, Ordering::Relaxed);
    assert!(reading.await.unwrap() <= 2000);
    assert_eq!(list(dir.path()).len(), 2000);
}

#[tokio::test]
async fn census_counts_waiting_and_dead_per_subscription() {
    let (_dir, queue, subs) = new_queue::<3>().await;
    admit(&queue, 0..5, subs[0], false).await;
    let failed = admit(&queue, 5..9, subs[1], true).await;
    let at = now();
    settle_all(&queue, &failed[..1], at, State::Retrying { due_at: at }).await;
    settle_all(&queue, &failed[1..3], at, State::Dead { reason: Reason::Refused }).await;
    settle_all(&queue, &failed[3..], at, State::Delivered).await;
    let reader = queue.reader().unwrap();
    let mut census = Census::default();
    while reader.count_some(&mut census).unwrap() {}
    let found = census.counts;
    assert_eq!(found.get(&subs[0]), Some(&CensusCounts { waiting: 5, dead: 0 }));
    assert_eq!(found.get(&subs[1]), Some(&CensusCounts { waiting: 1, dead: 2 }));
    assert_eq!(found.get(&subs[2]), None);
    assert!(reader.oldest_waiting(subs[0], None).unwrap().is_some_and(|oldest| oldest <= now()));
    assert_eq!(reader.oldest_waiting(subs[2], None).unwrap(), None);
    assert!(reader.oldest_waiting(subs[2], Some(failed[3])).unwrap().is_some());
}

#[tokio::test]
async fn commit_metrics_are_recorded() {
    let (_dir, queue, subs) = new_queue::<1>().await;
    let before = queue.stats().commit_time.read().total();
    admit(&queue, 0..5, subs[0], false).await;
    let stats = queue.stats();
    assert_eq!(stats.commit_time.read().total(), before + 1);
    assert!(stats.sync_time.read().sum <= stats.commit_time.read().sum);
    assert!(stats.commit_rows.read().sum >= 10, "five events and five deliveries");
    assert!(stats.log_bytes.get() > 0);
}

#[tokio::test]
async fn page_returns_the_start_of_the_next_page() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..25, sub, false).await;
    let reader = Reader::open(dir.path()).unwrap();
    let mut filter = Filter { limit: Some(10), ..Filter::default() };
    let mut found = Vec::new();
    loop {
        let page = reader.page(&filter).unwrap();
        found.extend(page.deliveries.iter().map(|listed| listed.id));
        let Some(next) = page.next else { break };
        filter.before = Some(next);
    }
    assert!(found.iter().rev().eq(&all));
}

#[tokio::test]
async fn page_without_matches_ends_after_a_bounded_scan() {
    let (dir, queue, subs) = new_queue::<2>().await;
    two_events(&queue, &vec![subs[0]; 60_000]).await;
    let reader = Reader::open(dir.path()).unwrap();
    let filter = Filter { subscription: Some("name-1".into()), limit: Some(1), ..Filter::default() };
    let page = reader.page(&filter).unwrap();
    assert!(page.deliveries.is_empty());
    let rest = reader.page(&Filter { before: page.next, ..filter }).unwrap();
    assert!(page.next.is_some() && rest.next.is_none(), "{:?} {:?}", page.next, rest.next);
}

#[tokio::test]
async fn filters_select_by_reason_time_and_status() {
    let (dir, queue, subs) = new_queue::<2>().await;
    let first = admit(&queue, 0..5, subs[0], false).await;
    let middle = now();
    let second = admit(&queue, 5..10, subs[1], false).await;
    let dead = |reason| State::Dead { reason };
    settle_all(&queue, &first[..1], middle, dead(Reason::Refused)).await;
    settle_all(&queue, &first[1..2], middle, dead(Reason::Timeout)).await;
    settle_all(&queue, &second[..1], middle, State::Delivered).await;
    settle_all(&queue, &second[1..2], middle, State::Retrying { due_at: middle }).await;
    let reader = Reader::open(dir.path()).unwrap();
    let count = |filter: Filter| reader.list(&filter).unwrap().len();
    let only = |statuses: &[DeliveryStatus]| Filter { statuses: statuses.to_vec(), ..Filter::default() };
    assert_eq!(count(Filter { reason: Some(Reason::Timeout), ..Filter::default() }), 1);
    assert_eq!(count(Filter { reason: Some(Reason::Timeout), ..only(&[DeliveryStatus::Delivered]) }), 0);
    assert_eq!(count(Filter { until: Some(middle), ..Filter::default() }), 5);
    assert_eq!(count(Filter { since: Some(middle), until: Some(now()), ..Filter::default() }), 5);
    assert_eq!(count(only(&[DeliveryStatus::Dead, DeliveryStatus::Delivered])), 3);
    assert_eq!(count(only(&[DeliveryStatus::Parked])), 0);
    let none_active = ActiveSubscriptions::of(Vec::new());
    assert_eq!(count(Filter { active: none_active.clone(), ..only(&[DeliveryStatus::Parked]) }), 7);
    assert_eq!(
        count(Filter { active: none_active, ..only(&[DeliveryStatus::Pending, DeliveryStatus::Delivered]) }),
        1
    );
}

#[tokio::test]
async fn event_is_found_by_id_with_its_newest_delivery() {
    let (dir, queue, subs) = new_queue::<3>().await;
    let [admitted] = queue.admit([admission(event(7), &subs, false)].into()).await.unwrap()[..] else {
        panic!()
    };
    admit(&queue, 8..20, subs[0], false).await;
    let reader = Reader::open(dir.path()).unwrap();
    let Search::Found(seq) = reader.find_event("event-7", || true).unwrap() else {
        panic!("the event exists")
    };
    assert_eq!(seq, admitted.first.seq());
    assert_eq!(reader.event(seq, "uuid-1").unwrap().unwrap().event, event(7));
    let newest = |uuid| reader.event(seq, uuid).unwrap().unwrap().newest.map(|listed| listed.id);
    let first = admitted.first.plus(1);
    assert_eq!((newest("uuid-1"), newest("uuid-9")), (Some(first), None));
    settle_all(&queue, &[first], now(), State::Delivered).await;
    let again = redeliver(dir.path(), &[first]).unwrap()[0];
    assert_eq!(newest("uuid-1"), Some(again));
    assert_eq!(reader.find_event("event-99", || true).unwrap(), Search::Absent);
    assert!(reader.event(-1, "uuid-1").unwrap().is_none());
}

#[tokio::test]
async fn cancelled_search_returns_its_progress() {
    let (dir, queue, [sub]) = new_queue().await;
    let count = 2 * LIST_STEP_ROWS as usize + 1;
    admit(&queue, 0..count, sub, false).await;
    let reader = Reader::open(dir.path()).unwrap();
    let search = |id: usize, steps: usize| {
        let left = Cell::new(steps);
        let should_continue = || left.replace(left.get().saturating_sub(1)) > 0;
        reader.find_event(&format!("event-{id}"), should_continue).unwrap()
    };
    let newest_first = |n| count - 1 - n;
    assert!(matches!(search(newest_first(0), 1), Search::Found(_)));
    let scanned = u64::from(LIST_STEP_ROWS);
    assert_eq!(search(0, 0), Search::Unfinished { scanned: 0 });
    assert_eq!(search(0, 1), Search::Unfinished { scanned });
    assert_eq!(search(0, 2), Search::Unfinished { scanned: 2 * scanned });
    assert!(matches!(search(0, 3), Search::Found(_)));
}

#[tokio::test]
async fn filter_prefers_a_uuid_over_a_name() {
    let (dir, queue, []) = new_queue().await;
    let named =
        [("uuid-a", "uuid-b"), ("uuid-b", "gr\u{f6}n"), ("uuid-c", "gro\u{308}n"), ("uuid-d", "uuid-b")];
    let subs = queue.register(named.map(|(uuid, name)| (uuid.into(), name.into())).into()).await.unwrap();
    for (n, sub) in subs.iter().enumerate() {
        admit(&queue, n..n + 1, *sub, false).await;
    }
    let reader = Reader::open(dir.path()).unwrap();
    let uuids = |wanted: &str| -> Vec<String> {
        let filter = Filter { subscription: Some(wanted.into()), ..Filter::default() };
        reader.list(&filter).unwrap().into_iter().map(|listed| listed.subscription_uuid.into()).collect()
    };
    assert_eq!(uuids("uuid-b"), ["uuid-b"]);
    assert_eq!(uuids("uuid-a"), ["uuid-a"]);
    for same in ["gr\u{f6}n", "gro\u{308}n"] {
        assert_eq!(uuids(same), ["uuid-c", "uuid-b"]);
    }
    assert!(uuids("nobody").is_empty());
}

#[tokio::test]
async fn newest_events_are_bounded() {
    let (dir, queue, subs) = new_queue::<1>().await;
    admit(&queue, 0..5, subs[0], true).await;
    let last = Event { topic: event(4).topic, ..event(5) };
    admit_one(&queue, last.clone(), &subs, true).await;
    let reader = Reader::open(dir.path()).unwrap();
    let events = reader.recent_events(3, usize::MAX).unwrap();
    assert_eq!(events, [last, event(4), event(3)]);
    let one = event(4).body.len();
    assert_eq!(reader.recent_events(3, one).unwrap().len(), 1);
}
