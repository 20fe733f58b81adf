//! Publishers on the bus: a continuous one and a burst.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use decnet_bus::{Client, Received};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::host::TIMEOUT;
use crate::random::Random;

const BATCH: usize = 10;
const MARK: &str = "test.mark";
const TOPICS: [&str; 6] = [
    "attacker.7.observed",
    "attacker.7.session.started",
    "decky.1.state",
    "decky.2.state",
    "system.log",
    "nobody.asked",
];

/// A thread that publishes numbered events and reconnects to the bus if necessary.
pub(crate) struct Publisher {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Publisher {
    pub(crate) fn start(socket: PathBuf, random: Random) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            runtime().block_on(publish(socket, random, &stopped));
        });
        Self { stop, thread: Some(thread) }
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the publisher does not panic");
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn publish(socket: PathBuf, mut random: Random, stop: &AtomicBool) {
    let (mut client, mut numbers) = (None, 0u64..);
    while !stop.load(Ordering::SeqCst) {
        if client.is_none() {
            client = Client::connect(&socket, "publisher").await.ok();
        }
        if let Some(connected) = &mut client {
            let sender = &mut connected.sender;
            for n in numbers.by_ref().take(BATCH) {
                sender.enqueue(random.pick(&TOPICS), "test", &json!({ "n": n })).unwrap();
            }
            if sender.flush().await.is_err() {
                client = None;
            }
        }
        tokio::time::sleep(random.millis(20)).await;
    }
}

/// Publishes `count` events on one topic.
pub(crate) fn burst(socket: &Path, topic: &str, count: u64) {
    runtime().block_on(async {
        let mut client = Client::connect(socket, "burst").await.unwrap();
        for n in 0..count {
            client.sender.feed(topic, "test", &json!({ "n": n })).await.unwrap();
        }
        client.close().await.unwrap();
    });
}

/// A bus client that waits for the worker's health events.
pub(crate) struct WorkerListener {
    runtime: Runtime,
    client: Client,
}

impl WorkerListener {
    /// Connects and returns once the bus has processed the subscriptions.
    pub(crate) fn new(socket: &Path) -> Self {
        let runtime = runtime();
        let client = runtime.block_on(async {
            let mut client = Client::connect(socket, "listener").await.unwrap();
            client.subscribe("system.webhook.health").await.unwrap();
            client.subscribe(MARK).await.unwrap();
            let mut publisher = Client::connect(socket, "mark").await.unwrap();
            let mut received = Vec::new();
            // Receiving a mark proves that the bus has processed the second pattern, and therefore the first.
            while received.is_empty() {
                publisher.publish(MARK, "test", &json!({})).await.unwrap();
                let receiving = client.recv_batch(&mut received);
                let _not_yet = tokio::time::timeout(Duration::from_millis(20), receiving).await;
            }
            client
        });
        Self { runtime, client }
    }

    /// Waits for a worker's first health event, which it publishes once it is subscribed.
    pub(crate) fn wait_for_worker(mut self) {
        let health = async {
            let mut messages = Vec::new();
            while !messages.iter().any(|message: &Received| message.topic != MARK) {
                messages.clear();
                self.client.recv_batch(&mut messages).await.unwrap();
            }
        };
        self.runtime.block_on(async { tokio::time::timeout(TIMEOUT, health).await }).unwrap();
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
