//! A reader that does not read loses its oldest events; publishers and other readers are not affected.
use crate::common::numbered::{all, numbers, publish, reader};
use crate::common::{Peer, TestBus, soon};
use decnet_bus::{LOSSLESS_CLIENT_NAME, Losses};

const QUEUE: usize = 1024;

#[tokio::test]
async fn a_slow_reader_keeps_only_the_newest_events() {
    let events = 5 * QUEUE;
    let mut bus = TestBus::start().await;
    let mut idle = reader(&mut bus, "idle", "n.>").await;
    let mut busy = reader(&mut bus, "busy", "n.>").await;
    let busy = tokio::spawn(async move { numbers(&mut busy, events - 1).await });
    publish(&mut bus, "n.x", 0..events, 1000).await;
    assert_eq!(soon(busy).await.unwrap(), all(events), "the busy reader");
    let survived = numbers(&mut idle, events - 1).await;
    assert!(survived.is_sorted() && survived.len() < events, "{} survived", survived.len());
    assert!(survived.ends_with(&all(events)[events - QUEUE..]), "{} survived", survived.len());
    let losses = bus.losses().await;
    let dropped = u64::try_from(events - survived.len()).unwrap();
    assert_eq!(losses, Losses { dropped_ordinary: dropped, dropped_lossless: 0, publisher_pauses: 0 });
}

#[tokio::test]
async fn a_slow_lossless_reader_loses_nothing() {
    let events = 100_000;
    let mut bus = TestBus::start().await;
    let mut idle = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", 0..events, 100).await;
    assert_eq!(numbers(&mut idle, events - 1).await, all(events));
}

#[tokio::test]
async fn the_number_of_lossless_readers_is_bounded() {
    let events = 3 * QUEUE;
    let mut bus = TestBus::start().await;
    let mut readers = Vec::new();
    for _ in 0..=decnet_core::limits::MAX_LOSSLESS_CONNECTIONS {
        readers.push(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    }
    publish(&mut bus, "n.x", 0..events, 1000).await;
    let mut last = readers.pop().unwrap();
    assert!(numbers(&mut last, events - 1).await.len() < events);
    for reader in &mut readers {
        assert_eq!(numbers(reader, events - 1).await.len(), events);
    }
}

#[tokio::test]
async fn the_full_queue_of_a_disconnected_reader_is_dropped() {
    let mut bus = TestBus::start().await;
    let idle = reader(&mut bus, "idle", "n.>").await;
    publish(&mut bus, "n.x", 0..3 * QUEUE, 1000).await;
    drop(idle);
    let mut next = Peer::subscribed(&mut bus, &["m"]).await;
    bus.peer().await.send("PUB", "m", b"").await;
    next.expect_only("m").await;
}
