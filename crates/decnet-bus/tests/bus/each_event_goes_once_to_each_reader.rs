//! Recipients of an event, the number of copies and the contents of the envelope.
use std::collections::HashSet;

use crate::common::{Peer, TestBus};
use decnet_bus::Client;
use serde_json::json;

#[tokio::test]
async fn event_gets_an_id_and_time_and_is_otherwise_unchanged() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["decky.>"]).await;
    let mut publisher = bus.peer().await;
    let body = br#"{"v":9,"id":"mine","topic":"spoofed","type":"t","ts":1,"payload":{"a": [1.50,"\u00e9"]}}"#;
    publisher.send("PUB", "decky.7.state", body).await;
    let (header, body) = reader.recv().await.unwrap();
    assert_eq!(header, "EVT decky.7.state");
    let text = String::from_utf8(body).unwrap();
    assert!(text.contains(r#""payload":{"a": [1.50,"\u00e9"]}"#), "{text}");
    let event: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&event["v"], &event["topic"], &event["type"]),
        (&json!(1), &json!("decky.7.state"), &json!("t"))
    );
    let id = event["id"].as_str().unwrap();
    assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!(event["ts"].is_f64() && (event["ts"].as_f64().unwrap() - now).abs() < 120.0);
}

#[tokio::test]
async fn event_is_not_echoed_or_repeated_per_pattern() {
    let mut bus = TestBus::start().await;
    let mut one = Peer::subscribed(&mut bus, &["a.>", "a.*", "a.b", "*.b", "a.b"]).await;
    let mut other = Peer::subscribed(&mut bus, &["a.>", "x y.z"]).await;
    one.send("PUB", "a.b", b"").await;
    other.expect_only("a.b").await;
    other.send("PUB", "a.c", b"").await;
    one.expect_only("a.c").await;
    one.send("PUB", "x y.z", b"").await;
    other.expect_only("x y.z").await;
}

#[tokio::test]
async fn every_event_has_a_unique_id() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["n"]).await;
    let mut publisher = bus.peer().await;
    let mut ids = HashSet::new();
    for _ in 0..500 {
        publisher.send("PUB", "n", b"").await;
        assert!(ids.insert(reader.event().await.1["id"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn unusual_payloads_and_topics_are_relayed_verbatim() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["a.>", "a.*.>", "odd token.*"]).await;
    let mut publisher = bus.peer().await;
    for (topic, body, payload) in [
        ("a.*", r#"{"payload":"text"}"#, json!("text")),
        ("a.>", r#"{"payload":[1]}"#, json!([1])),
        ("a..b", r#"{"payload":null,"type":null}"#, json!({})),
        ("odd token.x", "", json!({})),
        ("a.\"quoted\"", r#"{"payload":{"x":1},"payload":{"x":2}}"#, json!({"x": 2})),
    ] {
        publisher.send("PUB", topic, body.as_bytes()).await;
        let (header_topic, event) = reader.event().await;
        assert_eq!((header_topic.as_str(), &event["payload"]), (topic, &payload));
        assert_eq!(event["topic"], topic);
    }
}

#[tokio::test]
async fn an_oversized_event_keeps_its_publisher_connected() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["a.>"]).await;
    let mut publisher = bus.peer().await;
    let text = "x".repeat(1024 * 1024 - 14);
    let body = format!(r#"{{"payload":"{text}"}}"#);
    assert_eq!(body.len(), 1024 * 1024);
    publisher.send("PUB", "a.large", body.as_bytes()).await;
    publisher.send("PUB", "a.return\rwithin", b"").await;
    publisher.send("PUB", "a.small", b"").await;
    reader.expect_only("a.small").await;
}

#[tokio::test]
async fn unsubscribing_leaves_other_patterns() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["a.*", "a.b"]).await;
    let mut publisher = bus.peer().await;
    for _ in 0..200 {
        publisher.send("PUB", "a.c", b"").await;
        reader.expect_only("a.c").await;
    }
    reader.send("UNSUB", "a.*", b"").await;
    reader.send("UNSUB", "never.held", b"").await;
    bus.settle(&mut reader).await;
    publisher.send("PUB", "a.c", b"").await;
    publisher.send("PUB", "a.b", b"").await;
    reader.expect_only("a.b").await;
}

#[tokio::test]
async fn client_interoperates_with_other_implementations() {
    let mut bus = TestBus::start().await;
    let mut ours = Client::connect(&bus.path, "test").await.unwrap();
    ours.subscribe("to.us").await.unwrap();
    bus.settle_client(&mut ours).await;
    let mut theirs = Peer::subscribed(&mut bus, &["to.them"]).await;
    ours.publish("to.them", "k", &json!({"n": 1})).await.unwrap();
    let (_, event) = theirs.event().await;
    assert_eq!((&event["type"], &event["payload"]), (&json!("k"), &json!({"n": 1})));
    theirs.send("PUB", "to.us", br#"{"payload":{"n":2}}"#).await;
    let mut received = Vec::new();
    crate::common::soon(ours.recv_batch(&mut received)).await.unwrap();
    assert_eq!(received[0].topic, "to.us");
    assert_eq!(crate::common::payload(&received[0]), json!({"n": 2}));
    ours.close().await.unwrap();
}
