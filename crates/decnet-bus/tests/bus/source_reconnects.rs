//! A source reconnects after the bus restarts, resubscribes, and changes its patterns without a gap.
use std::path::Path;
use std::time::Duration;

use crate::common::{Peer, TestBus, frame, payload, soon};
use decnet_bus::{Client, ClientError, Received, Source, Step};
use decnet_core::topic::Pattern;
use serde_json::json;
use tokio::net::UnixListener;

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text).unwrap()).collect()
}

fn source(path: &Path, wanted: &[&str]) -> Source {
    let mut source = Source::new(path, "source").with_max_backoff(Duration::from_millis(200));
    source.set_patterns(patterns(wanted));
    source
}

async fn messages(source: &mut Source) -> Vec<Received> {
    let mut out = Vec::new();
    assert_eq!(soon(source.next(&mut out)).await, Step::Messages);
    out
}

/// Publishes through the source itself, so that the bus has handled every earlier frame.
async fn settle(bus: &mut TestBus, source: &mut Source) {
    let barrier = bus.next_barrier();
    assert!(source.publish(&barrier, "", &json!({})).unwrap());
    let mut out = Vec::new();
    tokio::select! {
        step = source.next(&mut out) => panic!("nothing was published, but {step:?}: {out:?}"),
        () = soon(bus.witnessed(&barrier)) => {}
    }
}

#[tokio::test]
async fn a_source_waits_for_the_bus_and_reconnects() {
    let dir = tempfile::tempdir().unwrap();
    let mut early = source(&dir.path().join("bus.sock"), &["a.>"]);
    let mut nothing = Vec::new();
    let never = tokio::time::timeout(Duration::from_millis(300), early.next(&mut nothing)).await;
    assert!(never.is_err());
    assert!(!early.publish("a", "", &json!({})).unwrap(), "the bus is not running");

    let mut bus = TestBus::start().await;
    let mut source = source(&bus.path, &["a.>"]);
    for round in 0..3 {
        assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Connected);
        settle(&mut bus, &mut source).await;
        bus.peer().await.send("PUB", "a.b", format!(r#"{{"payload":{{"n":{round}}}}}"#).as_bytes()).await;
        let received = messages(&mut source).await;
        assert_eq!(received.iter().map(payload).collect::<Vec<_>>(), [json!({"n": round})]);
        bus = bus.restart().await;
        assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Disconnected);
    }
}

#[tokio::test]
async fn a_change_of_patterns_leaves_no_gap() {
    let mut bus = TestBus::start().await;
    let sets = [patterns(&["a.*"]), patterns(&["a.>", "c"]), patterns(&[">"]), patterns(&["a.b"])];
    let mut source = source(&bus.path, &["a.*"]);
    assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Connected);
    settle(&mut bus, &mut source).await;
    let (events, path) = (2000, bus.path.clone());
    let publisher = tokio::spawn(async move {
        let mut publisher = Client::connect(&path, "publisher").await.unwrap();
        for n in 0..events {
            publisher.publish("a.b", "", &json!({"n": n})).await.unwrap();
            tokio::task::yield_now().await;
        }
        publisher.close().await.unwrap();
    });
    let mut numbers = Vec::new();
    for set in sets.iter().cycle() {
        source.set_patterns(set.clone());
        let received = messages(&mut source).await;
        let own = received.iter().filter(|event| event.topic == "a.b");
        numbers.extend(own.map(|event| payload(event)["n"].as_u64().unwrap()));
        if numbers.last() == Some(&(events - 1)) {
            break;
        }
    }
    assert_eq!(numbers, (0..events).collect::<Vec<_>>());
    publisher.await.unwrap();
}

#[tokio::test]
async fn source_speaks_the_documented_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut source = source(&path, &["a.>", "b"]);
    assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Connected);
    let mut server = Peer(tokio::io::BufReader::new(listener.accept().await.unwrap().0));
    source.set_patterns(patterns(&["b", "c.*"]));
    source.publish("x.y", "t", &json!({"n": 1})).unwrap();
    server.raw(&frame("EVT", "b", br#"{"v":1,"payload":{}}"#)).await;
    server.raw(&frame("HELLO", "ignored", b"")).await;
    let mut received = messages(&mut source).await;
    assert_eq!((&*received[0].topic, &received[0].body[..]), ("b", &br#"{"v":1,"payload":{}}"#[..]));
    received.clear();
    let serving = async {
        for expected in ["HELLO source", "SUB a.>", "SUB b", "SUB c.*", "UNSUB a.>"] {
            assert_eq!(server.recv().await.unwrap(), (expected.to_owned(), Vec::new()));
        }
        let (header, body) = server.recv().await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((header.as_str(), body), ("PUB x.y", json!({"type": "t", "payload": {"n": 1}})));
        server.raw(&[frame("EVT", "last", b""), frame("BYE", "", b"")].concat()).await;
    };
    let (step, ()) = tokio::join!(soon(source.next(&mut received)), serving);
    assert_eq!((step, &*received[0].topic), (Step::Messages, "last"));
    assert_eq!(soon(source.next(&mut received)).await, Step::Disconnected);
}

#[tokio::test]
async fn a_bus_that_closes_at_once_gets_few_connections() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut source = source(&path, &["a"]);
    let mut connects = 0;
    let flapping = async {
        loop {
            if source.next(&mut Vec::new()).await == Step::Connected {
                connects += 1;
                drop(listener.accept().await.unwrap());
            }
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(1), flapping).await.is_err());
    assert!(connects <= 10, "{connects} connections in a second");
}

#[tokio::test]
async fn cancellation_does_not_repeat_the_connect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (mut source, mut out) = (source(&path, &["a"]), Vec::new());
    let connected = async {
        loop {
            tokio::select! {
                biased;
                step = source.next(&mut out) => return step,
                () = std::future::ready(()) => tokio::task::yield_now().await,
            }
        }
    };
    assert_eq!(soon(connected).await, Step::Connected);
    let (stream, _) = listener.accept().await.unwrap();
    tokio::select! {
        biased;
        _ = listener.accept() => panic!("a second connection"),
        () = std::future::ready(()) => {}
    }
    let mut bus = Peer(tokio::io::BufReader::new(stream));
    assert_eq!(bus.recv().await.unwrap().0, "HELLO source");
}

#[tokio::test]
async fn a_bad_frame_is_an_error_after_the_good_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = Client::connect(&path, "").await.unwrap();
    let mut server = Peer(tokio::io::BufReader::new(listener.accept().await.unwrap().0));
    server.raw(&[frame("EVT", "good", b"{}"), frame("nope", "", b"")].concat()).await;
    let mut received = Vec::new();
    soon(client.recv_batch(&mut received)).await.unwrap();
    assert_eq!(received.len(), 1);
    for _ in 0..2 {
        let ended = soon(client.recv_batch(&mut received)).await;
        assert!(matches!(ended, Err(ClientError::Frame(_))), "{ended:?}");
    }
}

#[tokio::test]
async fn invalid_frames_are_rejected_before_sending() {
    let bus = TestBus::start().await;
    let mut client = Client::connect(&bus.path, "test").await.unwrap();
    let sender = &mut client.sender;
    for topic in ["", " a", "a\nb", "\u{e4}", &"a".repeat(5000)] {
        assert!(matches!(sender.enqueue(topic, "", &1), Err(ClientError::Encode(_))), "{topic:?}");
        assert!(matches!(sender.enqueue_subscribe(topic), Err(ClientError::Encode(_))), "{topic:?}");
    }
    for json in ["", "{", "NaN", r#""\ud800""#, "1e999"] {
        assert!(matches!(sender.enqueue_json("a", "", json), Err(ClientError::Payload(_))), "{json}");
    }
    sender.enqueue_json("a", "t", " {\"x\": 1} ").unwrap();
    assert_eq!(sender.buffered(), frame("PUB", "a", br#"{"type":"t","payload":{"x": 1}}"#).len());
}
