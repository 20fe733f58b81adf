//! After a change signal, a lossless reader gets every event until it reports that it has applied the change.
use crate::common::{Peer, TestBus};
use decnet_bus::{LOSSLESS_CLIENT_NAME, Users};
use decnet_core::topic::system_topics::{APPLIED_TOPIC, CHANGED_TOPIC};
use serde_json::json;

/// A reader that counts the events it receives.
struct Reader {
    peer: Peer,
    received: u64,
}

impl Reader {
    /// Connects a worker that subscribes to `a.*`. It does not receive events published earlier.
    async fn worker(bus: &mut TestBus) -> Self {
        Self::greet(bus, LOSSLESS_CLIENT_NAME, &["a.*", CHANGED_TOPIC, APPLIED_TOPIC]).await
    }

    async fn greet(bus: &mut TestBus, name: &str, patterns: &[&str]) -> Self {
        let mut peer = bus.peer().await;
        peer.send("HELLO", name, b"").await;
        for pattern in patterns {
            peer.send("SUB", pattern, b"").await;
        }
        bus.settle(&mut peer).await;
        Self { peer, received: 0 }
    }

    /// Connects a worker that has reported, so that it gets only what its patterns match.
    async fn narrowed(bus: &mut TestBus) -> Self {
        let mut worker = Self::worker(bus).await;
        publish(bus, &["a.first"]).await;
        worker.until("a.first").await;
        worker.report(bus, worker.received).await;
        publish(bus, &["z.narrow", "a.narrow"]).await;
        assert_eq!(worker.until("a.narrow").await, ["a.narrow"]);
        worker
    }

    /// Returns the topics of the events up to `last`, without heartbeats and the test's own barriers.
    async fn until(&mut self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        while topics.last().is_none_or(|topic| topic != last) {
            let (topic, _) = self.peer.event().await;
            self.received += 1;
            if topic != "system.bus.health" && !topic.starts_with("barrier.") {
                topics.push(topic);
            }
        }
        topics
    }

    async fn report(&mut self, bus: &mut TestBus, received: u64) {
        let body = json!({ "payload": { "received": received } }).to_string();
        self.peer.send("PUB", APPLIED_TOPIC, body.as_bytes()).await;
        bus.settle(&mut self.peer).await;
    }
}

async fn publish(bus: &mut TestBus, topics: &[&str]) {
    let mut publisher = bus.peer().await;
    for topic in topics {
        publisher.send("PUB", topic, b"").await;
    }
    bus.settle(&mut publisher).await;
}

/// Checks that a worker gets the events after a signal until it reports the change as applied.
async fn assert_widened_until_reported(mut bus: TestBus) {
    let mut worker = Reader::narrowed(&mut bus).await;
    publish(&mut bus, &["z.0", CHANGED_TOPIC, "z.1", "a.1"]).await;
    assert_eq!(worker.until("a.1").await, [CHANGED_TOPIC, "z.1", "a.1"]);
    worker.report(&mut bus, worker.received).await;
    publish(&mut bus, &["z.2", "a.2"]).await;
    assert_eq!(worker.until("a.2").await, ["a.2"]);
}

#[tokio::test]
async fn a_reader_gets_every_event_from_a_signal_until_it_reports_the_change() {
    assert_widened_until_reported(TestBus::start().await).await;
}

#[tokio::test]
async fn a_new_reader_gets_every_event() {
    let mut bus = TestBus::start().await;
    let mut worker = Reader::worker(&mut bus).await;
    publish(&mut bus, &["z.1"]).await;
    assert_eq!(worker.until("z.1").await, ["z.1"]);
}

#[tokio::test]
async fn a_report_does_not_cover_an_unread_signal() {
    let mut bus = TestBus::start().await;
    let mut worker = Reader::narrowed(&mut bus).await;
    publish(&mut bus, &[CHANGED_TOPIC]).await;
    worker.until(CHANGED_TOPIC).await;
    let first = worker.received;
    publish(&mut bus, &[CHANGED_TOPIC]).await;
    worker.report(&mut bus, first).await;
    publish(&mut bus, &["z.1"]).await;
    assert_eq!(worker.until("z.1").await, [CHANGED_TOPIC, "z.1"]);
    worker.report(&mut bus, worker.received).await;
    publish(&mut bus, &["z.2", "a.2"]).await;
    assert_eq!(worker.until("a.2").await, ["a.2"]);
}

#[tokio::test]
async fn every_event_after_a_signal_is_kept_for_a_disconnected_reader() {
    let mut bus = TestBus::start().await;
    drop(Reader::narrowed(&mut bus).await);
    publish(&mut bus, &["z.0", CHANGED_TOPIC, "z.1"]).await;
    let mut successor = Reader::worker(&mut bus).await;
    publish(&mut bus, &["z.2"]).await;
    assert_eq!(successor.until("z.2").await, [CHANGED_TOPIC, "z.1", "z.2"]);
    successor.report(&mut bus, successor.received).await;
    publish(&mut bus, &["z.3", "a.3"]).await;
    assert_eq!(successor.until("a.3").await, ["a.3"]);
}

#[tokio::test]
async fn a_successor_gets_every_event_until_it_reports_the_newest_change() {
    let mut bus = TestBus::start().await;
    drop(Reader::narrowed(&mut bus).await);
    publish(&mut bus, &[CHANGED_TOPIC, "z.1", CHANGED_TOPIC, "z.2"]).await;
    let mut successor = Reader::worker(&mut bus).await;
    successor.until(CHANGED_TOPIC).await;
    successor.report(&mut bus, successor.received).await;
    publish(&mut bus, &["z.3"]).await;
    assert_eq!(successor.until("z.3").await, ["z.1", CHANGED_TOPIC, "z.2", "z.3"]);
    successor.report(&mut bus, successor.received).await;
    publish(&mut bus, &["z.4", "a.4"]).await;
    assert_eq!(successor.until("a.4").await, ["a.4"]);
}

#[tokio::test]
async fn a_successor_gets_every_event_after_a_lost_signal() {
    let mut bus = TestBus::start().await;
    let worker = Reader::narrowed(&mut bus).await;
    // The signal is written to the worker's socket and lost with it.
    publish(&mut bus, &[CHANGED_TOPIC]).await;
    drop(worker);
    publish(&mut bus, &["z.1"]).await;
    let mut successor = Reader::worker(&mut bus).await;
    assert_eq!(successor.until("z.1").await.last().unwrap(), "z.1");
    successor.report(&mut bus, successor.received).await;
    publish(&mut bus, &["z.2", "a.2"]).await;
    assert_eq!(successor.until("a.2").await, ["a.2"]);
}

#[tokio::test]
async fn a_successor_that_does_not_report_gets_only_matching_events() {
    let mut bus = TestBus::start().await;
    drop(Reader::narrowed(&mut bus).await);
    publish(&mut bus, &[CHANGED_TOPIC, "z.1"]).await;
    let mut older = Reader::greet(&mut bus, LOSSLESS_CLIENT_NAME, &["a.*", CHANGED_TOPIC]).await;
    publish(&mut bus, &["z.2", CHANGED_TOPIC, "z.3", "a.3"]).await;
    assert_eq!(older.until("a.3").await, [CHANGED_TOPIC, "z.1", CHANGED_TOPIC, "a.3"]);
}

#[tokio::test]
async fn only_lossless_readers_that_report_get_every_event() {
    let mut bus = TestBus::start().await;
    for (name, patterns) in [
        (LOSSLESS_CLIENT_NAME, &["a.*", CHANGED_TOPIC][..]),
        ("ordinary", &["a.*", CHANGED_TOPIC, APPLIED_TOPIC]),
    ] {
        let mut reader = Reader::greet(&mut bus, name, patterns).await;
        publish(&mut bus, &["z.0", CHANGED_TOPIC, "z.1", "a.1"]).await;
        assert_eq!(reader.until("a.1").await, [CHANGED_TOPIC, "a.1"], "{name}");
    }
}

/// A worker with an ordinary queue must not miss events after a change either.
#[tokio::test]
async fn a_worker_with_an_ordinary_queue_gets_every_event_too() {
    let no_users = Users { trusted: Default::default(), lossless: Default::default() };
    assert_widened_until_reported(TestBus::start_as(|options| options.users = no_users).await).await;
}

#[tokio::test]
async fn a_reader_that_unsubscribes_from_reports_gets_only_matching_events() {
    let mut bus = TestBus::start().await;
    let mut worker = Reader::narrowed(&mut bus).await;
    publish(&mut bus, &[CHANGED_TOPIC]).await;
    worker.peer.send("UNSUB", APPLIED_TOPIC, b"").await;
    bus.settle(&mut worker.peer).await;
    publish(&mut bus, &["z.1", "a.1"]).await;
    assert_eq!(worker.until("a.1").await, [CHANGED_TOPIC, "a.1"]);
}

#[tokio::test]
async fn a_report_of_a_worker_is_not_relayed() {
    let mut bus = TestBus::start().await;
    let mut watcher = Reader::greet(&mut bus, "watcher", &["system.webhook.>", "a.*"]).await;
    let mut worker = Reader::worker(&mut bus).await;
    worker.report(&mut bus, 0).await;
    let mut other = bus.peer().await;
    other.send("PUB", APPLIED_TOPIC, br#"{"payload":{"received":1}}"#).await;
    bus.settle(&mut other).await;
    publish(&mut bus, &["a.1"]).await;
    assert_eq!(
        watcher.until("a.1").await,
        [APPLIED_TOPIC, "a.1"],
        "only the report of the other client is relayed"
    );
}
