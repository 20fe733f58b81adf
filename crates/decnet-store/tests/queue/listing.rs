//! Lists by the last status and by parts of ids, and the topics of recent events.

use bytes::Bytes;
use decnet_core::delivery::{Reason, State, StatusClass};
use decnet_core::event::Event;
use decnet_core::limits::{LIST_STEP_ROWS, MAX_LISTED_TOPICS, MAX_TOPIC_EXAMPLE_BYTES};
use decnet_store::queue::{Attempt, DeliveryId, Filter, Queue, Reader, RecentTopics, Settlement};

use super::support::*;

/// Settles the attempt with this number; without a status, it had no reply.
async fn settle(queue: &Queue, id: DeliveryId, number: u32, status: Option<u16>) {
    let at = now();
    let state = match status {
        Some(200) => State::Delivered,
        Some(404) => State::Dead { reason: Reason::Refused },
        _ => State::Retrying { due_at: at },
    };
    let attempt = Attempt { status, ..attempt(number, at, status.unwrap_or(500)) };
    let settlement = Settlement { id, attempt, state, is_free: false, rendered: None };
    assert_eq!(queue.settle(vec![settlement]).await.unwrap(), [true]);
}

#[tokio::test]
async fn last_attempt_decides_the_status_class() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..6, sub, true).await;
    let statuses: [&[Option<u16>]; 6] = [
        &[Some(503), Some(200)],
        &[Some(404)],
        &[Some(503)],
        &[Some(503), None],
        &[None, Some(599), Some(307)],
        // Not attempted.
        &[],
    ];
    for (id, statuses) in all.iter().zip(statuses) {
        for (number, status) in (1..).zip(statuses) {
            settle(&queue, *id, number, *status).await;
        }
    }
    let reader = Reader::open(dir.path()).unwrap();
    let found = |classes: &[StatusClass]| {
        let filter = Filter { status_classes: classes.to_vec(), ..Filter::default() };
        reader.list(&filter).unwrap().into_iter().map(|listed| listed.id).collect::<Vec<_>>()
    };
    let expected = [all[0], all[4], all[1], all[2], all[3]];
    assert_eq!(StatusClass::ALL.map(|class| found(&[class])), expected.map(|id| vec![id]));
    assert_eq!(found(&[StatusClass::NoReply, StatusClass::ServerError]), [all[3], all[2]]);
    assert_eq!(found(&[]).len(), 6);
}

#[tokio::test]
async fn part_of_an_id_finds_its_event() {
    let (dir, queue, [sub]) = new_queue().await;
    let all = admit(&queue, 0..12, sub, true).await;
    let reader = Reader::open(dir.path()).unwrap();
    let found = |text: &str| {
        let filter = Filter { search: Some(text.into()), ..Filter::default() };
        reader.list(&filter).unwrap().into_iter().map(|listed| listed.id).collect::<Vec<_>>()
    };
    assert_eq!(found("ent-1"), [all[11], all[10], all[1]]);
    assert!(found("%").is_empty());
}

fn event_with(n: usize, topic: &str, body: usize) -> Event {
    let body = Bytes::from(vec![b'x'; body]);
    Event { topic: topic.into(), body, ..event(n) }
}

async fn topics_of(events: Vec<Event>) -> RecentTopics {
    let (dir, queue, [sub]) = new_queue().await;
    let admissions = events.into_iter().map(|event| admission(event, &[sub], false)).collect();
    queue.admit(admissions).await.unwrap();
    Reader::open(dir.path()).unwrap().recent_topics().unwrap()
}

#[tokio::test]
async fn topics_are_counted_with_their_newest_example() {
    let largest = MAX_TOPIC_EXAMPLE_BYTES as usize;
    let events = vec![
        event_with(0, "a", 10),
        event_with(1, "b", 10),
        event_with(2, "a", largest),
        event_with(3, "a", largest + 1),
        event_with(4, "c", largest + 1),
    ];
    let found = topics_of(events).await;
    let shown: Vec<_> = found
        .topics
        .iter()
        .map(|topic| (&*topic.topic, topic.events, topic.example.as_ref().map(|event| &*event.id)))
        .collect();
    assert_eq!(shown, [("a", 3, Some("event-2")), ("b", 1, Some("event-1")), ("c", 1, None)]);
    assert_eq!((found.distinct, found.events), (3, 5));
    assert!(found.since.is_some_and(|since| since <= found.topics[0].newest_at));
    assert_eq!(topics_of(Vec::new()).await, RecentTopics::default());
}

#[tokio::test]
async fn number_of_topics_and_of_counted_events_is_bounded() {
    let count = LIST_STEP_ROWS as usize + 5;
    let found = topics_of((0..count).map(|n| event_with(n, &format!("t.{n}"), 1)).collect()).await;
    assert_eq!(found.topics.len(), MAX_LISTED_TOPICS);
    assert_eq!((found.distinct, found.events), (LIST_STEP_ROWS.into(), LIST_STEP_ROWS.into()));
}
