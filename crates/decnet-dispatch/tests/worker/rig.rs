//! A worker with its bus, catalog and queue, on loopback and in a directory of its own.

use std::io::Write as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use decnet_bus::{Client, LOSSLESS_CLIENT_NAME, Received, Server, ServerOptions, Source, Users};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_dispatch::{Options, Stats, Worker};
use decnet_runtime::clock::{self, Clock};
use decnet_sender::{self as sender, EgressGuard};
use decnet_store::catalog::{Catalog, Create, NewSubscription, Patch, Row};
use decnet_store::queue::{
    self, ActiveSubscriptions, Counts, DeliveryId, ExternalWriter, Filter, Listed, Queue, Reader,
};
use decnet_testkit::Receiver;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "a secret of the tests";
/// The timeout of everything that must happen; far more than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A task on a thread that runs until it is stopped.
pub(crate) struct Running {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(work: impl FnOnce(CancellationToken) + Send + 'static) -> Self {
        let stop = CancellationToken::new();
        let token = stop.clone();
        Self { stop, thread: std::thread::spawn(move || work(token)) }
    }

    pub(crate) fn stop(self) {
        self.stop.cancel();
        self.join();
    }

    /// Waits until the task ends.
    pub(crate) fn join(self) {
        self.thread.join().expect("the thread ends without a panic");
    }
}

/// Bus, worker, catalog and queue. Dropping it stops worker and bus.
pub(crate) struct Rig {
    pub(crate) dir: TempDir,
    pub(crate) catalog: Catalog,
    pub(crate) stats: Arc<Stats>,
    pub(crate) options: Options,
    /// The clock of the next worker that is started; it can be stepped while the worker runs.
    pub(crate) clock: Clock,
    pub(crate) nudge: Arc<Notify>,
    /// The users that the bus trusts.
    pub(crate) users: Users,
    pub(crate) bus: Option<Running>,
    pub(crate) worker: Option<Running>,
    runtime: Runtime,
    publisher: Option<Client>,
}

impl Drop for Rig {
    /// A panic of the worker or the bus fails the test.
    fn drop(&mut self) {
        for running in [self.worker.take(), self.bus.take()].into_iter().flatten() {
            // A failed test does not wait, because a thread may be stuck.
            if std::thread::panicking() {
                running.stop.cancel();
            } else {
                running.stop();
            }
        }
    }
}

impl Rig {
    /// Creates the files. Nothing runs yet.
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let catalog = Catalog::open(&dir.path().join("decnet.db"), Create::IfMissing).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            dir,
            catalog,
            stats: Arc::default(),
            options: quick_options(),
            clock: Clock::default(),
            nudge: Arc::default(),
            users: Users::default(),
            bus: None,
            worker: None,
            runtime,
            publisher: None,
        }
    }

    /// Creates the files with these subscriptions: name, URL, pattern. Nothing runs yet.
    pub(crate) fn with_subscriptions(subscriptions: &[(&str, &str, &str)]) -> Self {
        let mut rig = Self::new();
        for (name, url, pattern) in subscriptions {
            rig.subscribe(name, url, &[pattern]);
        }
        rig
    }

    /// Starts bus and worker with these subscriptions: name, URL, pattern.
    pub(crate) fn running(subscriptions: &[(&str, &str, &str)]) -> Self {
        Self::running_with(subscriptions, |_| ())
    }

    /// Starts bus and worker with these subscriptions and options.
    pub(crate) fn running_with(
        subscriptions: &[(&str, &str, &str)],
        configure: impl FnOnce(&mut Options),
    ) -> Self {
        let mut rig = Self::with_subscriptions(subscriptions);
        configure(&mut rig.options);
        rig.start();
        rig
    }

    /// Starts bus and worker.
    pub(crate) fn start(&mut self) {
        self.start_bus();
        self.start_worker();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("bus.sock")
    }

    pub(crate) fn subscribe(&mut self, name: &str, url: &str, patterns: &[&str]) -> String {
        let new = NewSubscription {
            name: name.into(),
            url: EndpointUrl::new(url).unwrap(),
            secret: Secret::new(SECRET),
            patterns: patterns.iter().map(|pattern| Pattern::new(pattern).unwrap()).collect(),
            enabled: true,
            settings: Settings::default(),
        };
        self.catalog.create(&new, clock::now()).unwrap()
    }

    pub(crate) fn patch(&mut self, name: &str, patch: &Patch) {
        let uuid = self.row(name).uuid;
        self.catalog.update(&uuid, patch, clock::now()).unwrap();
    }

    pub(crate) fn set_enabled(&mut self, name: &str, enabled: bool) {
        self.patch(name, &Patch { enabled: Some(enabled), ..Patch::default() });
    }

    pub(crate) fn set_paused(&mut self, name: &str, paused: bool) {
        self.patch(name, &Patch { paused: Some(paused), ..Patch::default() });
    }

    pub(crate) fn set_url(&mut self, name: &str, url: &str) {
        let url = Some(EndpointUrl::new(url).unwrap());
        self.patch(name, &Patch { url, ..Patch::default() });
    }

    /// Changes the settings that a JSON object contains.
    pub(crate) fn set(&mut self, name: &str, settings: &str) {
        let settings = serde_json::from_str(settings).unwrap();
        self.patch(name, &Patch { settings, ..Patch::default() });
    }

    pub(crate) fn row(&self, name: &str) -> Row {
        self.catalog.find(name).unwrap()
    }

    pub(crate) fn start_bus(&mut self) {
        let users = self.users.clone();
        let options = ServerOptions { group: None, users, ..ServerOptions::new(self.socket()) };
        let socket = self.socket();
        self.bus = Some(Running::start(move |stop| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { Server::bind(options).unwrap().run(stop).await.unwrap() });
        }));
        eventually("the bus listens", || UnixStream::connect(&socket).is_ok());
        self.publisher = None;
    }

    /// Starts the worker and waits for its first heartbeat on the bus.
    pub(crate) fn start_worker(&mut self) {
        let mut watcher = self.watch("system.webhook.health");
        self.launch_worker();
        self.runtime.block_on(next(&mut watcher));
    }

    /// Starts the worker and does not wait.
    pub(crate) fn launch_worker(&mut self) {
        let (dir, socket, options) = (self.dir.path().to_owned(), self.socket(), self.options.clone());
        self.stats = Arc::default();
        let (stats, nudge) = (Arc::clone(&self.stats), Arc::clone(&self.nudge));
        let files = queue::Options { clock: self.clock.clone(), ..queue::Options::default() };
        self.worker = Some(Running::start(move |stop| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let worker = Worker {
                options,
                queue: Queue::open(&dir, files).unwrap(),
                catalog: Catalog::open(&dir.join("decnet.db"), Create::Never).unwrap(),
                source: Some(
                    Source::new(socket, LOSSLESS_CLIENT_NAME)
                        .with_notices()
                        .with_max_backoff(Duration::from_millis(200)),
                ),
                stats,
                nudge,
            };
            LocalSet::new().block_on(&runtime, worker.run(stop)).unwrap();
        }));
    }

    /// Starts the worker with the test as its bus. Returns the bus's end of the connection.
    pub(crate) fn launch_with_fake_bus(&mut self) -> UnixStream {
        let bus = UnixListener::bind(self.socket()).unwrap();
        self.launch_worker();
        bus.accept().unwrap().0
    }

    pub(crate) fn stop_worker(&mut self) {
        self.worker.take().expect("the worker runs").stop();
    }

    pub(crate) fn restart_worker(&mut self) {
        self.stop_worker();
        self.start_worker();
    }

    pub(crate) fn stop_bus(&mut self) {
        self.bus.take().expect("the bus runs").stop();
    }

    /// Returns a client whose subscription to `pattern` is in effect.
    pub(crate) fn watch(&mut self, pattern: &str) -> Client {
        let socket = self.socket();
        self.runtime.block_on(async {
            let mut client = Client::connect(&socket, "watcher").await.unwrap();
            let mark = format!("test.mark.{}", uuid::Uuid::new_v4().simple());
            client.subscribe(pattern).await.unwrap();
            client.subscribe(&mark).await.unwrap();
            let mut publisher = Client::connect(&socket, "marker").await.unwrap();
            let mut received = Vec::new();
            while !received.iter().any(|message: &Received| message.topic == mark.as_str()) {
                publisher.publish(&mark, "", &serde_json::json!({})).await.unwrap();
                received.clear();
                let wait = tokio::time::timeout(Duration::from_millis(20), client.recv_batch(&mut received));
                if let Ok(result) = wait.await {
                    result.unwrap();
                }
            }
            client.sender.enqueue_unsubscribe(&mark).unwrap();
            client.sender.flush().await.unwrap();
            client
        })
    }

    /// Waits for the next message of a watcher, except the marks of [`Rig::watch`].
    pub(crate) fn next(&self, watcher: &mut Client) -> Received {
        self.runtime.block_on(next(watcher))
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &serde_json::Value) {
        self.publish_many([(topic.to_owned(), payload.clone())]);
    }

    pub(crate) fn publish_many(&mut self, events: impl IntoIterator<Item = (String, serde_json::Value)>) {
        let socket = self.socket();
        self.runtime.block_on(async {
            if self.publisher.is_none() {
                self.publisher = Some(Client::connect(&socket, "publisher").await.unwrap());
            }
            let sender = &mut self.publisher.as_mut().unwrap().sender;
            for (topic, payload) in events {
                sender.enqueue(&topic, "test", &payload).unwrap();
            }
            sender.flush().await.unwrap();
        });
    }

    /// Publishes `count` events, numbered from 0.
    pub(crate) fn publish_numbered(&mut self, topic: &str, count: u64) {
        self.publish_many((0..count).map(|n| (topic.to_owned(), serde_json::json!({ "n": n }))));
    }

    /// Signals a change of the subscriptions and waits until the worker has read them.
    pub(crate) fn reload(&mut self) {
        let before = self.stats.reloads.get();
        self.publish("system.webhook.subscriptions_changed", &serde_json::json!({}));
        let stats = Arc::clone(&self.stats);
        eventually("the worker has read the subscriptions", || stats.reloads.get() > before);
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    /// Returns all deliveries in the queue.
    pub(crate) fn deliveries(&self) -> Vec<Listed> {
        self.reader().list(&Filter::default()).unwrap()
    }

    /// Opens the queue as a command does.
    pub(crate) fn writer(&self) -> ExternalWriter {
        ExternalWriter::open(self.dir.path()).unwrap()
    }

    pub(crate) fn redeliver(&self, delivery: DeliveryId) {
        self.writer().redeliver(&[delivery], &ActiveSubscriptions::default()).unwrap();
    }

    /// Opens a database of the worker: `decnet.db` or `queue.db`.
    pub(crate) fn database(&self, name: &str) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join(name)).unwrap()
    }

    /// Returns the number of a subscription's deliveries by state.
    pub(crate) fn counts(&self, name: &str) -> Counts {
        let all = self.reader().counts().unwrap();
        all.into_iter().find(|counts| *counts.name == *name).expect("the queue has the subscription")
    }
}

/// Returns options with which the worker retries, trips and probes quickly.
fn quick_options() -> Options {
    let loopback = ["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    Options {
        schedule: "20ms,40ms,80ms,200ms,500ms,1s,1s,1s".parse().unwrap(),
        probe_delay: (Duration::from_millis(100), Duration::from_millis(400)),
        record_interval: Duration::from_millis(50),
        shutdown_grace: Duration::from_secs(10),
        sender: sender::Options {
            deadline: Duration::from_secs(2),
            guard: EgressGuard::new(false, loopback.into()),
            ..sender::Options::default()
        },
        ..Options::default()
    }
}

async fn next(watcher: &mut Client) -> Received {
    let mut messages = Vec::new();
    loop {
        tokio::time::timeout(PATIENCE, watcher.recv_batch(&mut messages)).await.expect("a message").unwrap();
        if let Some(at) = messages.iter().position(|message| !message.topic.starts_with("test.mark.")) {
            return messages.swap_remove(at);
        }
        messages.clear();
    }
}

/// Sends an event to a worker, as a bus does. `body` is the whole envelope.
pub(crate) fn send(worker: &mut UnixStream, topic: &str, body: &str) {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    worker.write_all(&[b"EVT ", topic.as_bytes(), b"\n", &length, body.as_bytes()].concat()).unwrap();
}

/// Waits for a condition that must become true.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "timed out waiting for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a receiver has received `count` requests.
pub(crate) fn arrive(receiver: &Receiver, count: u64) {
    drop(receiver.wait_for(count, PATIENCE));
}

/// Returns the `n` of every event that a receiver has received, in order of arrival.
pub(crate) fn numbers(receiver: &Receiver) -> Vec<u64> {
    let number =
        |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).unwrap()["payload"]["n"].as_u64();
    receiver.requests().iter().filter_map(|request| number(&request.body)).collect()
}

/// Returns whether a time is set and not older than [`PATIENCE`].
pub(crate) fn is_recent(at: Option<UnixMicros>) -> bool {
    at.is_some_and(|at| clock::now().since(at) < PATIENCE)
}
