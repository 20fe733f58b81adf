//! Publishers wait, for a limited time, for a full lossless reader of their events; other publishers do not.
use std::time::{Duration, Instant};

use crate::common::log;
use crate::common::numbered::{all, feed, gaps, numbers, publish, reader};
use crate::common::{TIMEOUT, TestBus, soon};
use decnet_bus::{Client, LOSSLESS_CLIENT_NAME, Lossless};
use tokio::task::JoinHandle;

/// The limits of a reader whose queue is too small for the events of a test.
const SMALL: Lossless = Lossless { bytes: 256 * 1024, pause: TIMEOUT, retention: TIMEOUT };
const EVENTS: usize = 5000;
const EVENT_BYTES: usize = 1000;

fn feeding(bus: &TestBus, topic: &'static str) -> JoinHandle<Client> {
    let path = bus.path.clone();
    tokio::spawn(async move {
        let mut publisher = Client::connect(&path, "publisher").await.unwrap();
        feed(&mut publisher, topic, 0..EVENTS, EVENT_BYTES).await;
        publisher
    })
}

#[tokio::test]
async fn only_publishers_of_a_full_reader_wait() {
    let mut bus = TestBus::start_with(SMALL).await;
    let mut full = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    let mut parallel = reader(&mut bus, "parallel", "n.>").await;
    let mut elsewhere = reader(&mut bus, "elsewhere", "m").await;
    let mut other = reader(&mut bus, "decnet-webhook lossless other", "m").await;
    let publisher = feeding(&bus, "n.x");
    let parallel = tokio::spawn(async move { numbers(&mut parallel, EVENTS - 1).await });
    for round in 0..20 {
        publish(&mut bus, "m", round * 100..(round + 1) * 100, EVENT_BYTES).await;
        let last = (round + 1) * 100 - 1;
        assert_eq!(numbers(&mut elsewhere, last).await.len(), 100);
        assert_eq!(numbers(&mut other, last).await.len(), 100);
    }
    assert!(!publisher.is_finished(), "its reader is full");
    assert_eq!(numbers(&mut full, EVENTS - 1).await, all(EVENTS));
    assert_eq!(soon(parallel).await.unwrap(), all(EVENTS), "other readers get the same events");
    soon(publisher).await.unwrap();
}

#[tokio::test]
async fn several_publishers_wait_and_all_resume() {
    let mut bus = TestBus::start_with(SMALL).await;
    let mut full = reader(&mut bus, LOSSLESS_CLIENT_NAME, "*").await;
    let publishers = ["a", "b", "c"].map(|topic| feeding(&bus, topic));
    publish(&mut bus, "elsewhere.x", 0..100, EVENT_BYTES).await;
    let mut received = Vec::new();
    while received.len() < publishers.len() * EVENTS {
        soon(full.recv_batch(&mut received)).await.unwrap();
    }
    for topic in ["a", "b", "c"] {
        let own: Vec<usize> =
            received.iter().filter(|e| e.topic == topic).map(crate::common::numbered::number).collect();
        assert_eq!(own, all(EVENTS), "of {topic}");
    }
    for publisher in publishers {
        soon(publisher).await.unwrap();
    }
}

#[tokio::test]
async fn oldest_events_are_dropped_and_counted_after_the_pause() {
    log::capture();
    let pause = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { pause, ..SMALL }).await;
    let mut full = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    let started = Instant::now();
    publish(&mut bus, "n.x", 0..EVENTS, EVENT_BYTES).await;
    assert!(started.elapsed() >= pause, "publishers waited");
    assert!(!log::with("publishers wait for a slow bus reader").is_empty());
    let arrived = numbers(&mut full, EVENTS - 1).await;
    let lost: Vec<usize> = gaps(&arrived).into_iter().map(|gap| gap.len()).collect();
    assert_eq!(lost.len(), 1, "one range is missing: {lost:?}");
    let losses = bus.losses().await;
    assert_eq!((losses.dropped_ordinary, losses.dropped_lossless), (0, lost[0] as u64));
    assert!(losses.publisher_pauses >= 1);
    drop(full);
    bus.stop().await;
    assert_eq!(lost, [log::lost()]);
}

#[tokio::test]
async fn a_reader_that_disconnects_releases_its_publishers() {
    let mut bus = TestBus::start_with(SMALL).await;
    let full = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    let publisher = feeding(&bus, "n.x");
    publish(&mut bus, "m", 0..1000, EVENT_BYTES).await;
    assert!(!publisher.is_finished());
    drop(full);
    soon(publisher).await.unwrap();
}

#[tokio::test]
async fn events_of_a_disconnected_publisher_arrive() {
    let mut bus = TestBus::start_with(SMALL).await;
    let mut full = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    let events = 600;
    let mut publisher = Client::connect(&bus.path, "brief").await.unwrap();
    feed(&mut publisher, "n.x", 0..events, EVENT_BYTES).await;
    publisher.close().await.unwrap();
    publish(&mut bus, "m", 0..1000, EVENT_BYTES).await;
    assert_eq!(numbers(&mut full, events - 1).await, all(events));
}
