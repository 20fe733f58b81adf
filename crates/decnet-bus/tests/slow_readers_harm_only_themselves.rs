//! A reader that does not read loses its oldest events; publishers and other readers notice nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Peer, TestBus, payload, soon};
use decnet_bus::{Client, LOSSLESS_CLIENT_NAME, Received};
use serde_json::json;

const QUEUE: usize = 1024;

/// Publishes numbered events and returns when the bus has taken them all.
async fn publish(bus: &mut TestBus, events: usize, bytes: usize) {
    let mut publisher = Client::connect(&bus.path, "publisher").await.unwrap();
    let padding = "x".repeat(bytes);
    for n in 0..events {
        publisher.sender().feed("n.x", "t", &json!({"n": n, "padding": padding})).await.unwrap();
    }
    publisher.sender().flush().await.unwrap();
    soon(bus.settle_client(&mut publisher)).await;
}

async fn numbers(client: &mut Client, until: usize) -> Vec<usize> {
    let (mut received, mut numbers) = (Vec::<Received>::new(), Vec::new());
    while numbers.last() != Some(&(until - 1)) {
        soon(client.recv_batch(&mut received)).await.unwrap();
        let number = |event: Received| usize::try_from(payload(&event)["n"].as_u64().unwrap()).unwrap();
        numbers.extend(received.drain(..).map(number));
    }
    numbers
}

async fn reader(bus: &mut TestBus, name: &str) -> Client {
    let mut client = Client::connect(&bus.path, name).await.unwrap();
    client.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut client).await;
    client
}

#[tokio::test]
async fn the_newest_events_survive_and_a_reader_that_reads_gets_all() {
    let events = 5 * QUEUE;
    let mut bus = TestBus::start().await;
    let mut idle = reader(&mut bus, "idle").await;
    let mut busy = reader(&mut bus, "busy").await;
    let busy = tokio::spawn(async move { numbers(&mut busy, events).await });
    publish(&mut bus, events, 1000).await;
    let all: Vec<usize> = (0..events).collect();
    assert_eq!(soon(busy).await.unwrap(), all, "the busy reader");
    let survived = numbers(&mut idle, events).await;
    assert!(survived.is_sorted() && survived.len() < events, "{} survived", survived.len());
    assert!(survived.ends_with(&all[events - QUEUE..]), "{} survived", survived.len());
}

#[tokio::test]
async fn a_lossless_reader_loses_nothing_while_it_does_not_read() {
    let events = 100_000;
    let mut bus = TestBus::start().await;
    let mut idle = reader(&mut bus, LOSSLESS_CLIENT_NAME).await;
    publish(&mut bus, events, 100).await;
    assert_eq!(numbers(&mut idle, events).await, (0..events).collect::<Vec<_>>());
}

#[tokio::test]
async fn only_so_many_readers_are_lossless() {
    let events = 3 * QUEUE;
    let mut bus = TestBus::start().await;
    let mut readers = Vec::new();
    for _ in 0..=decnet_core::limits::MAX_LOSSLESS_CONNECTIONS {
        readers.push(reader(&mut bus, LOSSLESS_CLIENT_NAME).await);
    }
    publish(&mut bus, events, 1000).await;
    let mut last = readers.pop().unwrap();
    assert!(numbers(&mut last, events).await.len() < events);
    for reader in &mut readers {
        assert_eq!(numbers(reader, events).await.len(), events);
    }
}

#[tokio::test]
async fn a_reader_that_goes_away_with_a_full_queue_is_forgotten() {
    let mut bus = TestBus::start().await;
    let idle = reader(&mut bus, "idle").await;
    publish(&mut bus, 3 * QUEUE, 1000).await;
    drop(idle);
    let mut next = Peer::subscribed(&mut bus, &["m"]).await;
    bus.peer().await.send("PUB", "m", b"").await;
    next.expect_only("m").await;
}
