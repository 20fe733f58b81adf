//! A lossless reader that goes away is remembered for a while, and its successor gets what came meanwhile.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use common::log;
use common::numbered::{all, feed, gaps, number, numbers, numbers_to_the_end, publish, reader};
use common::{PATIENCE, Peer, TestBus, options, soon};
use decnet_bus::{Client, LOSSLESS_CLIENT_NAME, Lossless, Server, Source, Step};
use decnet_core::limits::{LOSSLESS_SOCKET_BYTES, MAX_LOSSLESS_CONNECTIONS};
use decnet_core::topic::Pattern;
use serde_json::json;
use tokio_util::sync::CancellationToken;

const EAST: &str = "decnet-webhook lossless east";
const WEST: &str = "decnet-webhook lossless west";
const EVENT_BYTES: usize = 1000;

async fn greeted(bus: &TestBus, name: &str) -> Client {
    Client::connect(&bus.path, name).await.unwrap()
}

#[tokio::test]
async fn it_gets_what_was_kept_in_order_and_once_before_anything_new() {
    let mut bus = TestBus::start().await;
    let mut first = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", 0..100, 10).await;
    assert_eq!(numbers(&mut first, 99).await, all(100));
    drop(first);
    publish(&mut bus, "n.x", 100..2000, EVENT_BYTES).await;
    let mut second = greeted(&bus, LOSSLESS_CLIENT_NAME).await;
    bus.settle_client(&mut second).await;
    second.subscribe("n.>").await.unwrap();
    second.subscribe("n.*").await.unwrap();
    bus.settle_client(&mut second).await;
    publish(&mut bus, "n.x", 2000..2100, 10).await;
    let came = numbers(&mut second, 2099).await;
    assert_eq!(came, (100..2100).collect::<Vec<_>>());
    let mut third = greeted(&bus, LOSSLESS_CLIENT_NAME).await;
    third.subscribe("n.>").await.unwrap();
    bus.settle_client(&mut third).await;
    publish(&mut bus, "n.x", [2100], 10).await;
    assert_eq!(
        numbers(&mut third, 2100).await,
        [2100],
        "beside one that is alive there is nothing to inherit"
    );
}

#[tokio::test]
async fn nothing_falls_between_its_greeting_and_its_patterns() {
    let mut bus = TestBus::start().await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    publish(&mut bus, "n.x", 0..10, 10).await;
    let mut heir = Peer::connect(&bus.path).await;
    heir.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    assert_eq!(heir.event().await.1["payload"]["n"], 0);
    publish(&mut bus, "n.x", 10..20, 10).await;
    heir.send("SUB", "m", b"").await;
    for n in 1..20 {
        assert_eq!(
            heir.event().await.1["payload"]["n"],
            n,
            "it has not said yet that it wants these no more"
        );
    }
    // Its first event says that it has asked for everything.
    bus.settle(&mut heir).await;
    publish(&mut bus, "n.x", 20..30, 10).await;
    publish(&mut bus, "m", [30], 10).await;
    assert_eq!(heir.event().await.1["payload"]["n"], 30);
}

#[tokio::test]
async fn what_it_gives_up_or_asks_for_again_is_as_it_says() {
    let mut bus = TestBus::start().await;
    let mut first = greeted(&bus, LOSSLESS_CLIENT_NAME).await;
    for pattern in ["a", "b", "c"] {
        first.subscribe(pattern).await.unwrap();
    }
    bus.settle_client(&mut first).await;
    drop(first);
    let mut heir = Peer::connect(&bus.path).await;
    for (verb, args) in [("HELLO", LOSSLESS_CLIENT_NAME), ("SUB", "b"), ("UNSUB", "a")] {
        heir.send(verb, args, b"").await;
    }
    bus.settle(&mut heir).await;
    let mut publisher = bus.peer().await;
    for topic in ["a", "c", "b"] {
        publisher.send("PUB", topic, b"").await;
    }
    heir.expect_only("b").await;
}

#[tokio::test]
async fn an_heir_that_never_publishes_keeps_what_it_inherited_for_as_long_as_it_would_be_remembered() {
    let remember = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { remember, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    let mut heir = Peer::connect(&bus.path).await;
    heir.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    heir.send("SUB", "m", b"").await;
    let mut publisher = Client::connect(&bus.path, "publisher").await.unwrap();
    for n in 0.. {
        feed(&mut publisher, "n.x", [n], 10).await;
        feed(&mut publisher, "m", [n], 10).await;
        if soon(heir.event()).await.0 == "m" {
            break;
        }
        soon(heir.event()).await;
    }
}

/// Waits until the bus says that a reader did not come back.
async fn forgotten() {
    while log::with("did not come back").is_empty() {
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

#[tokio::test]
async fn one_that_stays_away_is_forgotten() {
    log::listen();
    let remember = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { remember, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    publish(&mut bus, "n.x", 0..10, 10).await;
    soon(forgotten()).await;
    assert_eq!(log::with("did not come back")[0].events, 10, "and what it missed is counted");
    assert_eq!(bus.losses().await.dropped_lossless, 10, "and told");
    let mut late = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await;
    publish(&mut bus, "n.x", [10], 10).await;
    assert_eq!(numbers(&mut late, 10).await, [10]);
}

/// The bus's heart beats many times while it is away.
#[tokio::test]
async fn one_that_stays_away_has_not_lost_the_heartbeats_meanwhile() {
    log::listen();
    let remember = Duration::from_millis(300);
    let mut bus = TestBus::start_with(Lossless { remember, ..Lossless::default() }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "system.bus.health").await);
    soon(forgotten()).await;
    let lost = bus.losses().await.dropped_lossless;
    assert!(lost <= 1, "{lost}; one may have been on its way when it went");
}

#[tokio::test]
async fn what_is_kept_is_bounded_and_keeps_nobody_waiting() {
    log::listen();
    let bytes = 64 * 1024;
    let mut bus = TestBus::start_with(Lossless { bytes, pause: PATIENCE * 2, remember: PATIENCE }).await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n.>").await);
    let events = 1000;
    publish(&mut bus, "n.x", 0..events, EVENT_BYTES).await;
    let mut back = greeted(&bus, LOSSLESS_CLIENT_NAME).await;
    let came = numbers(&mut back, events - 1).await;
    assert!(came.is_sorted_by(|a, b| a + 1 == *b), "only the oldest are missing");
    let most = bytes / EVENT_BYTES;
    assert!(came.len() > most / 2 && came.len() < most, "{} were kept", came.len());
    drop(back);
    bus.stop().await;
    assert_eq!(log::lost(), events - came.len());
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
        assert_eq!(numbers(&mut greeted(&bus, name).await, n).await, [n], "{name}");
    }
}

#[tokio::test]
async fn of_two_with_one_name_the_one_away_longer_is_inherited_first() {
    let mut bus = TestBus::start().await;
    let (first, second) = (reader(&mut bus, EAST, "a").await, reader(&mut bus, EAST, "b").await);
    let mut heirs = Vec::new();
    for leaving in [second, first] {
        leaving.close().await.unwrap();
    }
    publish(&mut bus, "a", [1], 10).await;
    publish(&mut bus, "b", [2], 10).await;
    for n in [2, 1] {
        heirs.push(greeted(&bus, EAST).await);
        assert_eq!(numbers(heirs.last_mut().unwrap(), n).await, [n]);
    }
}

#[tokio::test]
async fn one_that_is_away_gives_its_place_to_one_that_is_there() {
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
async fn who_asked_before_it_greeted_inherits_nothing() {
    let mut bus = TestBus::start().await;
    drop(reader(&mut bus, LOSSLESS_CLIENT_NAME, "n").await);
    publish(&mut bus, "n", [0], 10).await;
    let mut early = Peer::subscribed(&mut bus, &["n"]).await;
    early.send("HELLO", LOSSLESS_CLIENT_NAME, b"").await;
    bus.settle(&mut early).await;
    publish(&mut bus, "n", [1], 10).await;
    assert_eq!(early.event().await.1["payload"]["n"], 1);
    assert_eq!(numbers(&mut greeted(&bus, LOSSLESS_CLIENT_NAME).await, 1).await, [0, 1]);
}

#[tokio::test]
async fn other_names_are_not_remembered() {
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
async fn after_a_plain_goodbye_what_the_socket_holds_can_be_read_and_the_rest_is_kept() {
    let mut bus = TestBus::start().await;
    let client = reader(&mut bus, LOSSLESS_CLIENT_NAME, "n").await;
    publish(&mut bus, "n", 0..2000, EVENT_BYTES).await;
    let (sender, mut receiver) = client.split();
    sender.close().await.unwrap();
    let mut came = numbers_to_the_end(&mut receiver).await;
    assert!(came.len() < 2000, "so much does not fit a socket");
    came.extend(numbers(&mut greeted(&bus, LOSSLESS_CLIENT_NAME).await, 1999).await);
    assert_eq!(came, all(2000));
}

#[tokio::test]
async fn a_source_that_is_closed_leaves_unread_what_its_successor_then_gets() {
    let mut bus = TestBus::start().await;
    let mut source = source(&bus.path);
    assert_eq!(soon(source.next(&mut Vec::new())).await, Step::Connected);
    hear_itself(&mut source, &bus.path).await;
    let mut received = Vec::new();
    let mut came = Vec::new();
    for round in 0..5 {
        publish(&mut bus, "system.n", round * 1000..(round + 1) * 1000, EVENT_BYTES).await;
        while received.is_empty() {
            soon(source.next(&mut received)).await;
        }
        came.extend(received.drain(..).map(|event| number(&event)));
        soon(source.close()).await;
        source = self::source(&bus.path);
    }
    while came.last() != Some(&4999) {
        soon(source.next(&mut received)).await;
        came.extend(received.drain(..).map(|event| number(&event)));
    }
    assert_eq!((came.len(), gaps(&came)), (5000, vec![]));
}

fn source(path: &Path) -> Source {
    let mut source = Source::new(path, LOSSLESS_CLIENT_NAME).with_max_backoff(Duration::from_millis(100));
    source.set_patterns([Pattern::new("system.n").unwrap(), Pattern::new("n.>").unwrap()]);
    source
}

/// A bus and a publisher that publishes numbers without a pause, each on a thread of its own.
struct Stream {
    path: PathBuf,
    enough: Arc<AtomicBool>,
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
    /// A reader has subscribed before the first number.
    async fn start(wanted: &mut Source, path: PathBuf, dir: tempfile::TempDir) -> Self {
        let stop_bus = CancellationToken::new();
        let (options, stop) = (options(&path), stop_bus.clone());
        let bus = on_thread(async move { Server::bind(options).unwrap().run(stop).await.unwrap() });
        assert_eq!(soon(wanted.next(&mut Vec::new())).await, Step::Connected);
        hear_itself(wanted, &path).await;
        let enough = Arc::new(AtomicBool::new(false));
        let publisher = on_thread(count_up(path.clone(), Arc::clone(&enough)));
        Self { path, enough, publisher, stop_bus, bus, _dir: dir }
    }

    /// Stops publishing; how many numbers there were.
    fn end(&self) {
        self.enough.store(true, Ordering::Relaxed);
    }

    fn finish(self) -> usize {
        let published = self.publisher.join().unwrap();
        self.stop_bus.cancel();
        self.bus.join().unwrap();
        published
    }
}

/// Returns when the bus has obeyed what the source asked for.
async fn hear_itself(source: &mut Source, path: &Path) {
    let mut ear = Client::connect(path, "ear").await.unwrap();
    ear.subscribe("barrier").await.unwrap();
    let (mut heard, mut unheard) = (Vec::new(), Vec::new());
    while heard.is_empty() {
        source.publish("barrier", "", &json!({})).unwrap();
        tokio::select! {
            heard = ear.recv_batch(&mut heard) => heard.unwrap(),
            _ = source.next(&mut unheard) => panic!("nothing was published yet"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}

/// Publishes until it is enough, and then a last number, on a topic of its own.
async fn count_up(path: PathBuf, enough: Arc<AtomicBool>) -> usize {
    let mut publisher = Client::connect(&path, "publisher").await.unwrap();
    let mut n = 0;
    while !enough.load(Ordering::Relaxed) {
        publisher.publish("n.x", "", &json!({"n": n, "padding": "x".repeat(300)})).await.unwrap();
        n += 1;
    }
    publisher.publish("n.last", "", &json!({"n": n})).await.unwrap();
    publisher.close().await.unwrap();
    n + 1
}

/// Restarts the reader again and again while numbers are published; all that came, and how many there were.
async fn restarted(clean: bool) -> (Vec<usize>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus.sock");
    let mut source = source(&path);
    let stream = Stream::start(&mut source, path, dir).await;
    let (mut came, mut received, mut restarts) = (Vec::new(), Vec::new(), 0);
    loop {
        let step = soon(source.next(&mut received)).await;
        assert_ne!(step, Step::Disconnected);
        let is_last = received.last().is_some_and(|event| event.topic == "n.last");
        let is_time = received.len() > 100 || restarts % 2 == 1;
        came.extend(received.drain(..).map(|event| number(&event)));
        if is_last {
            break;
        }
        if step == Step::Messages && is_time && restarts < 40 {
            restarts += 1;
            if clean {
                soon(source.close()).await;
            } else {
                drop(source);
            }
            source = self::source(&stream.path);
        } else if restarts == 40 {
            stream.end();
        }
    }
    (came, stream.finish())
}

#[tokio::test]
async fn restarts_with_a_goodbye_miss_nothing() {
    let (came, published) = restarted(true).await;
    assert_eq!((came.len(), gaps(&came)), (published, vec![]));
}

#[tokio::test]
async fn a_kill_loses_at_most_what_the_socket_held() {
    let (came, published) = restarted(false).await;
    let gaps = gaps(&came);
    assert_eq!(came.len() + gaps.iter().map(ExactSizeIterator::len).sum::<usize>(), published);
    assert!(gaps.len() <= 40, "one range for each time: {gaps:?}");
    let most = 3 * LOSSLESS_SOCKET_BYTES / 300;
    assert!(gaps.iter().all(|gap| gap.len() <= most), "at most {most} each: {gaps:?}");
}
