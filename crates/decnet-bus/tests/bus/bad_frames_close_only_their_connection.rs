//! A client that violates the protocol is disconnected; other clients are not affected.
use std::time::Duration;

use crate::common::{Peer, TestBus, frame};

fn bad_streams() -> Vec<(&'static str, Vec<u8>)> {
    let publication = |body: &[u8]| frame("PUB", "a", body);
    let deep = format!("{{\"payload\":{}}}", "[".repeat(300) + &"]".repeat(300));
    let long = "a".repeat(4096);
    vec![
        ("unknown verb", frame("NOPE", "a", b"")),
        ("lower-case verb", frame("pub", "a", b"{}")),
        ("empty line", b"\n\0\0\0\0".to_vec()),
        ("only a carriage return", b"\r\n\0\0\0\0".to_vec()),
        ("non-ASCII header", frame("SUB", "\u{e4}", b"")),
        ("bytes that are not text", b"SUB \xff\n\0\0\0\0".to_vec()),
        ("long header", frame("SUB", &long, b"")),
        ("header without an end", long.as_bytes().to_vec()),
        ("long body", b"PUB a\n\0\x10\0\x01".to_vec()),
        ("list", publication(b"[1]")),
        ("text", publication(b"\"x\"")),
        ("broken JSON", publication(b"{")),
        ("NaN", publication(br#"{"payload":{"x":NaN}}"#)),
        ("too large a number", publication(br#"{"payload":{"x":1e999}}"#)),
        ("invalid UTF-8", publication(b"{\"payload\":\"\xff\"}")),
        ("lone surrogate", publication(br#"{"payload":{"x":"\ud800"}}"#)),
        ("lone surrogate in another field", publication(br#"{"other":"\udc00"}"#)),
        ("nesting that no reader parses", publication(deep.as_bytes())),
        ("SUB without a pattern", frame("SUB", "", b"")),
        ("PUB without a topic", frame("PUB", "", b"{}")),
        ("EVT from a client", frame("EVT", "a", b"{}")),
        ("binary", vec![0; 5000]),
    ]
}

#[tokio::test]
async fn each_bad_frame_closes_its_own_connection() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["good.>"]).await;
    let mut publisher = bus.peer().await;
    for (what, bytes) in bad_streams() {
        let mut bad = bus.peer().await;
        let before = frame("PUB", "good.before", b"");
        // The bus may close the connection during the write.
        let _ = tokio::io::AsyncWriteExt::write_all(bad.0.get_mut(), &[before, bytes].concat()).await;
        assert_eq!(bad.recv().await, None, "{what} is answered by a close");
        reader.expect_only("good.before").await;
        publisher.send("PUB", "good.after", b"").await;
        reader.expect_only("good.after").await;
    }
}

#[tokio::test]
async fn a_truncated_frame_does_not_affect_others() {
    let mut bus = TestBus::start().await;
    let mut reader = Peer::subscribed(&mut bus, &["good"]).await;
    for cut in [&b"PU"[..], b"PUB good\n", b"PUB good\n\0\0\0\x02{"] {
        let mut bad = bus.peer().await;
        bad.raw(cut).await;
    }
    bus.peer().await.send("PUB", "good", b"").await;
    reader.expect_only("good").await;
}

#[tokio::test]
async fn harmless_deviations_are_tolerated() {
    let mut bus = TestBus::start().await;
    let mut reader = bus.peer().await;
    reader
        .raw(b"HELLO \r\n\0\0\0\0HELLO a b\n\0\0\0\x05[not,SUB   x.>  \t\r\r\n\0\0\0\0UNSUB\n\0\0\0\0")
        .await;
    bus.settle(&mut reader).await;
    let mut publisher = bus.peer().await;
    publisher.raw(b"PUB  x.y \r\n\0\0\0\x04 {} ").await;
    reader.expect_only("x.y").await;
}

/// Clients trust the loss counters of a heartbeat, so only the bus may publish heartbeats.
#[tokio::test]
async fn clients_cannot_publish_the_heartbeat_of_the_bus() {
    let mut bus = TestBus::start_as(|options| options.heartbeat = Duration::from_secs(3600)).await;
    let mut reader = Peer::subscribed(&mut bus, &["system.bus.>"]).await;
    let mut forger = bus.peer().await;
    forger.send("PUB", "system.bus.health", br#"{"payload":{"dropped_lossless":7}}"#).await;
    forger.send("PUB", "system.bus.other", b"").await;
    reader.expect_only("system.bus.other").await;
}

#[tokio::test]
async fn bye_ends_the_connection() {
    let bus = TestBus::start().await;
    let mut peer = bus.peer().await;
    peer.send("BYE", "", b"").await;
    assert_eq!(peer.recv().await, None);
}
