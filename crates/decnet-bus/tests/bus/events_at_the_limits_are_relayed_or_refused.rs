//! The bus relays every event that the client accepts; the client rejects events that would not fit.
use crate::common::numbered::reader;
use crate::common::{TestBus, soon};
use decnet_bus::{Client, ClientError, LOSSLESS_CLIENT_NAME, Received};
use decnet_core::limits::{MAX_BODY_BYTES, MAX_PAYLOAD_DEPTH};

/// Publishes each payload and then `end`. Returns which payloads the client accepted; asserts that those arrived.
async fn relayed(bus: &mut TestBus, topic: &str, kind: &str, payloads: &[String]) -> Vec<bool> {
    let mut watcher = reader(bus, LOSSLESS_CLIENT_NAME, ">").await;
    let mut publisher = Client::connect(&bus.path, "publisher").await.unwrap();
    let mut accepted = Vec::new();
    for payload in payloads {
        accepted.push(publisher.sender.enqueue_json(topic, kind, payload).is_ok());
        soon(publisher.sender.flush()).await.unwrap();
    }
    publisher.publish("end", "", &()).await.unwrap();
    let mut received = Vec::new();
    while !received.iter().any(|event: &Received| event.topic == "end") {
        soon(watcher.recv_batch(&mut received)).await.unwrap();
    }
    let arrived = received.iter().filter(|event| event.topic == topic).count();
    assert_eq!(arrived, accepted.iter().filter(|accepted| **accepted).count(), "{topic:.20}");
    accepted
}

#[tokio::test]
async fn events_up_to_the_size_limit_are_relayed() {
    let mut bus = TestBus::start().await;
    let text = |size: usize| format!("\"{}\"", "x".repeat(size - 2));
    for (topic, kind) in [("t.x", ""), ("t.\"\\\t\u{1}", "k\u{1}\u{e9}\n"), (&"t".repeat(4000), "kind")] {
        let rest = topic.len() * 6 + 200;
        let sizes: Vec<usize> = (MAX_BODY_BYTES - rest..=MAX_BODY_BYTES + 1).step_by(rest / 20).collect();
        let payloads: Vec<String> = sizes.iter().map(|size| text(*size)).collect();
        let accepted = relayed(&mut bus, topic, kind, &payloads).await;
        assert!(
            accepted[0] && !accepted[accepted.len() - 1] && accepted.is_sorted_by(|a, b| a >= b),
            "{accepted:?}"
        );
    }
}

#[tokio::test]
async fn payloads_up_to_the_depth_limit_are_relayed() {
    let mut bus = TestBus::start().await;
    let depths = MAX_PAYLOAD_DEPTH - 1..=MAX_PAYLOAD_DEPTH + 2;
    let lists = depths.clone().map(|depth| "[".repeat(depth) + &"]".repeat(depth));
    let objects = depths.map(|depth| "{\"a\":".repeat(depth) + "1" + &"}".repeat(depth));
    for payloads in [lists.collect::<Vec<_>>(), objects.collect()] {
        assert_eq!(relayed(&mut bus, "t.x", "", &payloads).await, [true, true, false, false]);
    }
}

#[tokio::test]
async fn refusal_names_the_limit() {
    let bus = TestBus::start().await;
    let mut client = Client::connect(&bus.path, "publisher").await.unwrap();
    let mut refusal = |payload: &str| client.sender.enqueue_json("t.x", "", payload).unwrap_err().to_string();
    let large = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES));
    assert!(refusal(&large).contains("carries at most 1048469"), "{}", refusal(&large));
    assert!(refusal(&"[".repeat(999)).contains("EOF"));
    let deep = "[".repeat(254) + &"]".repeat(254);
    assert!(refusal(&deep).contains("deeper than 253 levels"), "{}", refusal(&deep));
}

#[tokio::test]
async fn the_topic_of_the_bus_is_rejected() {
    let bus = TestBus::start().await;
    let mut client = Client::connect(&bus.path, "publisher").await.unwrap();
    let refused = client.publish("system.bus.health", "", &()).await.unwrap_err();
    assert!(matches!(&refused, ClientError::Reserved(topic) if **topic == *"system.bus.health"), "{refused}");
}
