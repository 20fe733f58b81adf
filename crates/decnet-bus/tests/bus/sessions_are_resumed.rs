//! The session of a disconnected lossless reader is retained, and its successor gets the events published in the meantime.
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::common::log;
use crate::common::numbered::{all, feed, gaps, number, numbers, numbers_until_closed, publish, reader};
use crate::common::{Peer, TIMEOUT, TestBus, options, soon};
use decnet_bus::{Client, LOSSLESS_CLIENT_NAME, Lossless, Server, Source, Step};
use decnet_core::limits::{LOSSLESS_SOCKET_BYTES, MAX_LOSSLESS_CONNECTIONS};
use decnet_core::topic::Pattern;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const EAST: &str = "decnet-webhook lossless east";
const WEST: &str = "decnet-webhook lossless west";
const EVENT_BYTES: usize = 1000;

async fn connect(bus: &TestBus, name: &str) -> Client {
    Client::connect(&bus.path, name).await.unwrap()
}

#[tokio::test]
async fn kept_events_arrive_in_order_before_new_ones() {
    let mut bus = TestBus::start().await;
    let mut first = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", 0..100, 10).await;
    assert_eq!(numbers(&mut first, 99).await, all(100));
    drop(first);
    publish(&mut bus, "n.x", 100..2000, EVENT_BYTES).await;
    let mut second = connect(&bus, LOSSLESS_CLIENT_NAME).await;
    bus.settle_client(&mut second).await;
    second.subscribe("n.>").await.unwrap();
    second.subscribe("n.*").await.unwrap();
    bus.settle_client(&mut second).await;
    publish(&mut bus, "n.x", 2000..2100, 10).await;
    let arrived = numbers(&mut second, 2099).await;
    assert_eq!(arrived, (100..2100).collect::<Vec<_>>());
    let mut third = connect(&bus, LOSSLESS_CLIENT_NAME).await;
    third.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut third).await;
    publish(&mut bus, "n.x", [2100], 10).await;
    assert_eq!(numbers(&mut third, 2100).await, [2100], "a connected reader leaves nothing to inherit");
}

#[tokio::test]
async fn no_event_is_missed_between_hello_and_subscriptions() {
    let mut bus = TestBus::start().await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    publish(&mut bus, "n.x", 0..10, 10).await;
    let mut successor = Peer::connect(&bus.path).await;
    successor.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    assert_eq!(successor.event().await.1["payload"]["n"], 0);
    publish(&mut bus, "n.x", 10..20, 10).await;
    successor.send("SUB", "m", b"").await;
    for n in 1..20 {
        assert_eq!(successor.event().await.1["payload"]["n"], n, "inherited patterns still apply");
    }
    // The first event that a successor publishes ends its inherited subscriptions.
    bus.settle(&mut successor).await;
    publish(&mut bus, "n.x", 20..30, 10).await;
    publish(&mut bus, "m", [30], 10).await;
    assert_eq!(successor.event().await.1["payload"]["n"], 30);
}

#[tokio::test]
async fn inherited_patterns_can_be_confirmed_or_dropped() {
    let mut bus = TestBus::start().await;
    let mut first = connect(&bus, LOSSLESS_CLIENT_NAME).await;
    for pattern in ["a", "b", "c"] {
        first.subscribe(pattern).await.unwrap();
    }
    bus.settle_client(&mut first).await;
    drop(first);
    let mut successor = Peer::connect(&bus.path).await;
    for (verb, args) in [("HELLO", LOSSLESS_CLIENT_NAME), ("SUB", "b"), ("UNSUB", "a")] {
        successor.send(verb, args, b"").await;
    }
    bus.settle(&mut successor).await;
    let mut publisher = bus.peer().await;
    for topic in ["a", "c", "b"] {
        publisher.send("PUB", topic, b"").await;
    }
    successor.expect_only("b").await;
}

#[tokio::test]
async fn unconfirmed_patterns_last_for_the_retention_time() {
    let retention = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { retention, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    let mut successor = Peer::connect(&bus.path).await;
    successor.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    successor.send("SUB", "m", b"").await;
    let mut publisher = Client::connect(&bus.path, "publisher").await.unwrap();
    for n in 0.. {
        feed(&mut publisher, "n.x", [n], 10).await;
        feed(&mut publisher, "m", [n], 10).await;
        if soon(successor.event()).await.0 == "m" {
            break;
        }
        soon(successor.event()).await;
    }
}

/// Waits until the bus logs that a reader did not reconnect.
async fn expired() {
    while log::with("did not reconnect").is_empty() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn detached_session_expires() {
    log::capture();
    let retention = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { retention, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    publish(&mut bus, "n.x", 0..10, 10).await;
    soon(expired()).await;
    assert_eq!(log::with("did not reconnect")[0].events, 10, "missed events are counted");
    assert_eq!(bus.losses().await.dropped_lossless, 10, "and reported");
    let mut late = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", [10], 10).await;
    assert_eq!(numbers(&mut late, 10).await, [10]);
}

/// The bus sends many heartbeats while the reader is disconnected.
#[tokio::test]
async fn missed_heartbeats_are_not_losses() {
    log::capture();
    let retention = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { retention, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "system.bus.health").await);
    soon(expired()).await;
    let lost = bus.losses().await.dropped_lossless;
    assert!(lost <= 1, "{lost}; one may have been in flight");
}

#[tokio::test]
async fn kept_events_are_bounded_without_backpressure() {
    log::capture();
    let bytes = 64 * 1024;
    let mut bus = TestBus::start_with(Lossless { bytes, pause: TIMEOUT * 2, retention: TIMEOUT }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    let events = 1000;
    publish(&mut bus, "n.x", 0..events, EVENT_BYTES).await;
    let mut back = connect(&bus, LOSSLESS_CLIENT_NAME).await;
    let arrived = numbers(&mut back, events - 1).await;
    assert!(arrived.is_sorted_by(|a, b| a + 1 == *b), "only the oldest are missing");
    let most = bytes / EVENT_BYTES;
    assert!(arrived.len() > most / 2 && arrived.len() < most, "{} were kept", arrived.len());
    drop(back);
    bus.stop().await;
    assert_eq!(log::lost(), events - arrived.len());
}

#[tokio::test]
async fn each_instance_has_its_own_successor() {
    let mut bus = TestBus::start().await;
    for (name, topic) in [(EAST, "east"), (WEST, "west"), (LOSSLESS_CLIENT_NAME, "plain")] {
        drop(reader(&mut bus, name, topic).await);
    }
    for (n, topic) in ["west", "plain", "east"].into_iter().enumerate() {
        publish(&mut bus, topic, [n], 10).await;
    }
    for (name, n) in [(LOSSLESS_CLIENT_NAME, 1), (EAST, 2), (WEST, 0)] {
        assert_eq!(numbers(&mut connect(&bus, name).await, n).await, [n], "{name}");
    }
}

#[tokio::test]
async fn the_oldest_of_two_sessions_is_resumed_first() {
    let mut bus = TestBus::start().await;
    let (first, second) = (reader(&mut bus, EAST, "a").await, reader(&mut bus, EAST, "b").await);
    let mut successors = Vec::new();
    for leaving in [second, first] {
        leaving.close().await.unwrap();
    }
    publish(&mut bus, "a", [1], 10).await;
    publish(&mut bus, "b", [2], 10).await;
    for n in [2, 1] {
        successors.push(connect(&bus, EAST).await);
        assert_eq!(numbers(successors.last_mut().unwrap(), n).await, [n]);
    }
}

#[tokio::test]
async fn a_new_reader_replaces_a_detached_session() {
    let mut bus = TestBus::start().await;
    let name = |n: usize| format!("{LOSSLESS_CLIENT_NAME} {n}");
    for n in 0..MAX_LOSSLESS_CONNECTIONS {
        drop(reader(&mut bus, &name(n), "n").await);
    }
    let events = 3000;
    let mut newcomer = reader(&mut bus, &name(MAX_LOSSLESS_CONNECTIONS), "n").await;
    publish(&mut bus, "n", 0..events, EVENT_BYTES).await;
    assert_eq!(numbers(&mut newcomer, events - 1).await, all(events), "more than an ordinary queue holds");
    let mut evicted = reader(&mut bus, &name(0), "m").await;
    publish(&mut bus, "m", [0], 10).await;
    assert_eq!(numbers(&mut evicted, 0).await, [0]);
}

#[tokio::test]
async fn a_client_that_subscribed_before_hello_inherits_nothing() {
    let mut bus = TestBus::start().await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n").await);
    publish(&mut bus, "n", [0], 10).await;
    let mut early = Peer::subscribed(&mut bus, &["n"]).await;
    early.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    bus.settle(&mut early).await;
    publish(&mut bus, "n", [1], 10).await;
    assert_eq!(early.event().await.1["payload"]["n"], 1);
    assert_eq!(numbers(&mut connect(&bus, LOSSLESS_CLIENT_NAME).await, 1).await, [0, 1]);
}

#[tokio::test]
async fn sessions_of_other_names_are_not_retained() {
    let mut bus = TestBus::start().await;
    for name in ["decnet-webhook", "decnet-webhook losslessly", ""] {
        drop(reader(&mut bus, name, "n").await);
        publish(&mut bus, "n", [0], 10).await;
        let mut back = reader(&mut bus, name, "n").await;
        publish(&mut bus, "n", [1], 10).await;
        assert_eq!(numbers(&mut back, 1).await, [1], "{name:?}");
    }
}

#[tokio::test]
async fn bye_keeps_events_that_the_socket_does_not_hold() {
    let mut bus = TestBus::start().await;
    let client = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n").await;
    publish(&mut bus, "n", 0..2000, EVENT_BYTES).await;
    let Client { sender, mut receiver } = client;
    sender.close().await.unwrap();
    let mut arrived = numbers_until_closed(&mut receiver).await;
    assert!(arrived.len() < 2000, "a socket does not hold that many");
    arrived.extend(numbers(&mut connect(&bus, LOSSLESS_CLIENT_NAME).await, 1999).await);
    assert_eq!(arrived, all(2000));
}

#[tokio::test]
async fn events_unread_by_a_closed_source_reach_its_successor() {
    let mut bus = TestBus::start().await;
    let mut source = source(&bus.path);
    assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Connected);
    settle(&mut source, &bus.path).await;
    let mut received = Vec::new();
    let mut arrived = Vec::new();
    for round in 0..5 {
        publish(&mut bus, "system.n", round * 1000..(round + 1) * 1000, EVENT_BYTES).await;
        while received.is_empty() {
            soon(source.next(&mut received)).await;
        }
        arrived.extend(received.drain(..).map(|event| number(&event)));
        soon(source.close()).await;
        source = self::source(&bus.path);
    }
    while arrived.last() != Some(&4999) {
        soon(source.next(&mut received)).await;
        arrived.extend(received.drain(..).map(|event| number(&event)));
    }
    assert_eq!((arrived.len(), gaps(&arrived)), (5000, vec![]));
}

fn source(path: &Path) -> Source {
    let mut source = Source::new(path, LOSSLESS_CLIENT_NAME).with_max_backoff(Duration::from_millis(100));
    source.set_patterns([Pattern::new("system.n").unwrap(), Pattern::new("n.>").unwrap()]);
    source
}

/// A bus and a continuous publisher of numbers, each on a thread of its own.
struct Stream {
    path: PathBuf,
    stop: Arc<AtomicBool>,
    publisher: JoinHandle<usize>,
    stop_bus: CancellationToken,
    bus: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

fn on_thread<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    thread::spawn(move || runtime.block_on(work))
}

impl Stream {
    /// Starts the bus and the publisher. `reader` has subscribed before the first number is published.
    async fn start(reader: &mut Source, path: PathBuf, dir: tempfile::TempDir) -> Self {
        let stop_bus = CancellationToken::new();
        let (options, stop) = (options(&path), stop_bus.clone());
        let bus = on_thread(async move { Server::bind(options).unwrap().run(stop).await.unwrap() });
        assert_eq!(soon(reader.next(&mut Vec::new())).await, Step::Connected);
        settle(reader, &path).await;
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = on_thread(count_up(path.clone(), Arc::clone(&stop)));
        Self { path, stop, publisher, stop_bus, bus, _dir: dir }
    }

    fn stop_publishing(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Stops the bus. Returns the number of published events.
    fn finish(self) -> usize {
        let published = self.publisher.join().unwrap();
        self.stop_bus.cancel();
        self.bus.join().unwrap();
        published
    }
}

/// Returns once the bus has handled every frame of the source.
async fn settle(source: &mut Source, path: &Path) {
    let mut observer = Client::connect(path, "observer").await.unwrap();
    observer.subscribe("barrier").await.unwrap();
    let (mut received, mut unexpected) = (Vec::new(), Vec::new());
    while received.is_empty() {
        source.publish("barrier", "", &json!({})).unwrap();
        tokio::select! {
            received = observer.recv_batch(&mut received) => received.unwrap(),
            _ = source.next(&mut unexpected) => panic!("nothing was published yet"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// Publishes until `stop` is set, and then a last number on `n.last`.
async fn count_up(path: PathBuf, stop: Arc<AtomicBool>) -> usize {
    let mut publisher = Client::connect(&path, "publisher").await.unwrap();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        publisher.publish("n.x", "", &json!({"n": n, "padding": "x".repeat(300)})).await.unwrap();
        n += 1;
    }
    publisher.publish("n.last", "", &json!({"n": n})).await.unwrap();
    publisher.close().await.unwrap();
    n + 1
}

/// Restarts the reader repeatedly while numbers are published. Returns the received numbers and the published count.
async fn restarted(clean: bool) -> (Vec<usize>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let mut source = source(&path);
    let stream = Stream::start(&mut source, path, dir).await;
    let (mut arrived, mut received, mut restarts) = (Vec::new(), Vec::new(), 0);
    loop {
        let step = soon(source.next(&mut received)).await;
        assert_ne!(step, Step::Disconnected);
        let is_last = received.last().is_some_and(|event| event.topic == "n.last");
        let is_due = received.len() > 100 || restarts % 2 == 1;
        arrived.extend(received.drain(..).map(|event| number(&event)));
        if is_last {
            break;
        }
        if step == Step::Messages && is_due && restarts < 40 {
            restarts += 1;
            if clean {
                soon(source.close()).await;
            } else {
                drop(source);
            }
            source = self::source(&stream.path);
        } else if restarts == 40 {
            stream.stop_publishing();
        }
    }
    (arrived, stream.finish())
}

#[tokio::test]
async fn restarts_with_bye_lose_no_events() {
    let (arrived, published) = restarted(true).await;
    assert_eq!((arrived.len(), gaps(&arrived)), (published, vec![]));
}

#[tokio::test]
async fn a_kill_loses_at_most_the_events_in_the_socket() {
    let (arrived, published) = restarted(false).await;
    let gaps = gaps(&arrived);
    assert_eq!(arrived.len() + gaps.iter().map(ExactSizeIterator::len).sum::<usize>(), published);
    assert!(gaps.len() <= 40, "at most one range per restart: {gaps:?}");
    let most = 3 * LOSSLESS_SOCKET_BYTES / 300;
    assert!(gaps.iter().all(|gap| gap.len() <= most), "at most {most} each: {gaps:?}");
}
