//! The heartbeat, and the end of connections when the bus stops.
use std::time::{Duration, Instant};

use crate::common::{Peer, TestBus, soon};
use decnet_bus::{Client, ClientError};
use serde_json::json;

#[tokio::test]
async fn health_is_published_at_every_interval() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["system.bus.health"]).await;
    let mut uptime = -1.0;
    for _ in 0..3 {
        let (topic, event) = reader.event().await;
        assert_eq!((topic.as_str(), &event["type"]), ("system.bus.health", &json!("bus.health")));
        let payload = &event["payload"];
        assert_eq!(payload["pid"], std::process::id());
        assert!(payload["ts"].is_f64());
        for count in ["dropped_ordinary", "dropped_lossless", "publisher_pauses"] {
            assert_eq!(payload[count], 0, "{count}");
        }
        assert!(payload["uptime_sec"].as_f64().unwrap() > uptime);
        uptime = payload["uptime_sec"].as_f64().unwrap();
    }
}

#[tokio::test]
async fn a_stop_disconnects_every_client_at_once() {
    let mut bus = TestBus::start().await;
    let mut peer = Peer::subscribed(&mut bus, &[">"]).await;
    let mut client = Client::connect(&bus.path, "idle").await.unwrap();
    let started = Instant::now();
    bus.stop().await;
    while peer.recv().await.is_some() {}
    let ended = soon(client.recv_batch(&mut Vec::new())).await;
    assert!(matches!(ended, Err(ClientError::Closed)), "{ended:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn waiting_events_are_written_before_the_stop() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["n"]).await;
    let mut publisher = bus.peer().await;
    for _ in 0..100 {
        publisher.send("PUB", "n", b"").await;
    }
    bus.settle(&mut publisher).await;
    bus.stop().await;
    for _ in 0..100 {
        reader.expect_only("n").await;
    }
    assert_eq!(reader.recv().await, None);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_reader_that_does_not_read() {
    let mut bus = TestBus::start().await;
    let _idle = Peer::subscribed(&mut bus, &["n"]).await;
    let mut publisher = bus.peer().await;
    let body = format!(r#"{{"payload":"{}"}}"#, "x".repeat(10_000));
    for _ in 0..200 {
        publisher.send("PUB", "n", body.as_bytes()).await;
    }
    bus.settle(&mut publisher).await;
    bus.stop().await;
}
