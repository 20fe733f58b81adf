//! Notifications to the worker that subscriptions or the queue have changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decnet_bus::{Client, ClientError};
use decnet_core::limits::CHANGE_CONFIRM_TIMEOUT;
use decnet_core::topic::system_topics::{CHANGED_TOPIC, SUBMITTED_TOPIC};
use decnet_runtime::sync::lock;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// The client name sent to the bus, which logs it.
const NAME: &str = "decnet-api";
/// The time for which no signals are sent after the bus did not read a signal.
const QUIET_AFTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes signals to the worker. An absent or stuck bus fails no request and delays none for long: the worker polls once
/// a minute.
#[derive(Clone)]
pub(crate) struct WorkerNotifier {
    sockets: Arc<[PathBuf]>,
    nudge: Option<Arc<Notify>>,
    changed: Arc<Mutex<SignalState>>,
    submitted: Arc<Mutex<SignalState>>,
}

/// The topic and type of a signal.
type Message = (&'static str, &'static str);
const CHANGED: Message = (CHANGED_TOPIC, "changed");
const SUBMITTED: Message = (SUBMITTED_TOPIC, "submitted");

/// The state of one kind of signal. A caller that arrives during a publication waits for the next publication.
#[derive(Default)]
struct SignalState {
    /// Whether a task is publishing.
    busy: bool,
    /// The callers that wait for the next publication; dropped when it ends.
    waiting: Vec<oneshot::Sender<()>>,
    /// The earliest time of the next attempt, if the bus did not read the last signal.
    quiet_until: Option<Instant>,
    /// Whether the last publication failed, which was logged.
    is_failing: bool,
}

impl WorkerNotifier {
    pub(crate) fn new(sockets: Vec<PathBuf>, nudge: Option<Arc<Notify>>) -> Self {
        Self { sockets: sockets.into(), nudge, changed: Arc::default(), submitted: Arc::default() }
    }

    /// Signals that subscriptions have changed. Returns once the bus has read a signal that began after this call, or after
    /// [`CHANGE_CONFIRM_TIMEOUT`]. Concurrent changes share a signal.
    pub(crate) async fn subscriptions_changed(&self) {
        if timeout(CHANGE_CONFIRM_TIMEOUT, self.publish_soon(CHANGED, &self.changed)).await.is_err() {
            tracing::debug!(
                "the bus did not confirm a subscription change in time; answering without confirmation"
            );
        }
    }

    /// Signals that deliveries were created or erased, without waiting for the bus.
    pub(crate) fn queue_changed(&self) {
        drop(self.publish_soon(CHANGED, &self.changed));
    }

    /// Signals that events were submitted. A worker in this process is notified directly.
    pub(crate) fn submitted(&self) {
        match &self.nudge {
            Some(nudge) => nudge.notify_one(),
            None => drop(self.publish_soon(SUBMITTED, &self.submitted)),
        }
    }

    /// Requests a publication. The receiver resolves when it has succeeded or failed.
    fn publish_soon(&self, message: Message, state: &Arc<Mutex<SignalState>>) -> oneshot::Receiver<()> {
        let (done, published) = oneshot::channel();
        // Without a bus `done` is dropped here, which resolves the receiver.
        if !self.sockets.is_empty() {
            let is_first = {
                let mut state = lock(state);
                state.waiting.push(done);
                !std::mem::replace(&mut state.busy, true)
            };
            if is_first {
                tokio::spawn(self.clone().keep_publishing(message, Arc::clone(state)));
            }
        }
        published
    }

    async fn keep_publishing(self, message: Message, state: Arc<Mutex<SignalState>>) {
        loop {
            let next = lock(&state).next();
            let Some(not_before) = next else { return };
            tokio::time::sleep_until(not_before).await;
            let waiting = std::mem::take(&mut lock(&state).waiting);
            let published = self.publish(message).await;
            lock(&state).note(published);
            // Dropping the senders notifies the callers.
            drop(waiting);
        }
    }

    /// Publishes on the first bus that accepts the signal.
    async fn publish(&self, (topic, kind): Message) -> Result<(), ClientError> {
        let mut failed = ClientError::Closed;
        for socket in self.sockets.iter() {
            let published = async {
                let mut client = Client::connect(socket, NAME).await?;
                client.sender().enqueue(topic, kind, &serde_json::Map::new())?;
                client.confirm(CHANGE_CONFIRM_TIMEOUT).await
            };
            match timeout(CHANGE_CONFIRM_TIMEOUT, published).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => failed = error,
                Err(_) => failed = ClientError::Unconfirmed(CHANGE_CONFIRM_TIMEOUT),
            }
        }
        Err(failed)
    }

    /// Returns whether a bus answers.
    pub(crate) async fn is_bus_reachable(&self) -> bool {
        let reach = async {
            for socket in self.sockets.iter() {
                if let Ok(client) = Client::connect(socket, NAME).await {
                    return client.confirm(CHANGE_CONFIRM_TIMEOUT).await.is_ok();
                }
            }
            false
        };
        timeout(CHANGE_CONFIRM_TIMEOUT, reach).await.unwrap_or(false)
    }

    /// Returns whether a bus is configured.
    pub(crate) fn has_bus(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl SignalState {
    /// Returns when to publish next, or `None` if no caller waits.
    fn next(&mut self) -> Option<Instant> {
        self.busy = !self.waiting.is_empty();
        self.busy.then(|| self.quiet_until.unwrap_or_else(Instant::now))
    }

    fn note(&mut self, published: Result<(), ClientError>) {
        let is_stuck = matches!(published, Err(ClientError::Unconfirmed(_)));
        self.quiet_until = is_stuck.then(|| Instant::now() + QUIET_AFTER_TIMEOUT);
        let was_failing = std::mem::replace(&mut self.is_failing, published.is_err());
        match published {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "cannot signal the worker over the bus; changes may take up to a minute to apply");
            }
            Err(error) => tracing::debug!(%error, "still cannot signal the worker over the bus"),
            Ok(()) if was_failing => tracing::info!("signals reach the worker over the bus again"),
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_bus::{Server, ServerOptions};
    use futures_util::future::join_all;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn concurrent_changes_share_a_signal() {
        const CHANGES: usize = 50;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let server = Server::bind(ServerOptions { group: None, ..ServerOptions::new(&path) }).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let mut watcher = Client::connect(&path, "watcher").await.unwrap();
        watcher.subscribe(">").await.unwrap();
        let notifier = WorkerNotifier::new(vec![path.clone()], None);
        join_all((0..CHANGES).map(|_| notifier.subscriptions_changed())).await;
        assert!(!lock(&notifier.changed).is_failing);
        let mut end = Client::connect(&path, "end").await.unwrap();
        end.publish("end", "", &()).await.unwrap();
        let mut received = Vec::new();
        while received.last().is_none_or(|event: &decnet_bus::Received| event.topic != "end") {
            watcher.recv_batch(&mut received).await.unwrap();
        }
        let signals = received.iter().filter(|event| event.topic == CHANGED_TOPIC).count();
        assert!((1..=2).contains(&signals), "{signals} signals for {CHANGES} changes");
        stop.cancel();
        serving.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn stuck_bus_does_not_block_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let _bus = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let notifier = WorkerNotifier::new(vec![path], None);
        notifier.subscriptions_changed().await;
        notifier.subscriptions_changed().await;
        assert!(!notifier.is_bus_reachable().await);
    }

    #[tokio::test]
    async fn changes_do_not_wait_without_a_bus() {
        WorkerNotifier::new(Vec::new(), None).subscriptions_changed().await;
        let away = WorkerNotifier::new(vec!["/nowhere/bus.sock".into()], None);
        away.subscriptions_changed().await;
        assert!(lock(&away.changed).is_failing);
    }
}
