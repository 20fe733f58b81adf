//! Signals to the worker: subscriptions, or the queue, have changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decnet_bus::{Client, ClientError};
use decnet_core::limits::CHANGE_CONFIRM_TIMEOUT;
use decnet_core::topic::own::{CHANGED_TOPIC, SUBMITTED_TOPIC};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// The name with which the API greets; the bus logs it.
const NAME: &str = "decnet-api";
/// How long a bus that does not read is left alone.
const QUIET_AFTER_TIMEOUT: Duration = Duration::from_secs(2);

/// Publishes signals to the worker. A bus that is away or does not read fails nothing, and delays nothing for long: the
/// worker looks by itself within a minute.
#[derive(Clone)]
pub(crate) struct Signal {
    sockets: Arc<[PathBuf]>,
    nudge: Option<Arc<Notify>>,
    changed: Arc<Mutex<UnderWay>>,
    submitted: Arc<Mutex<UnderWay>>,
}

/// What is published: a topic, and a type.
type Message = (&'static str, &'static str);
const CHANGED: Message = (CHANGED_TOPIC, "changed");
const SUBMITTED: Message = (SUBMITTED_TOPIC, "submitted");

/// A signal on its way. Whoever asks for it while it is published gets the next one.
#[derive(Default)]
struct UnderWay {
    /// A task publishes it.
    busy: bool,
    /// Who waits for the signal that is published next; dropped when it was.
    waiting: Vec<oneshot::Sender<()>>,
    /// The bus did not read the last one: it is not tried again before then.
    quiet_until: Option<Instant>,
    /// The last one was not read by a bus, and that was logged.
    is_failing: bool,
}

impl Signal {
    pub(crate) fn new(sockets: Vec<PathBuf>, nudge: Option<Arc<Notify>>) -> Self {
        Self { sockets: sockets.into(), nudge, changed: Arc::default(), submitted: Arc::default() }
    }

    /// Signals that subscriptions have changed. Returns once the bus has read a signal that began after this call, or no
    /// bus has within [`CHANGE_CONFIRM_TIMEOUT`]. Changes that come together share a signal.
    pub(crate) async fn subscriptions_changed(&self) {
        if timeout(CHANGE_CONFIRM_TIMEOUT, self.publish_soon(CHANGED, &self.changed)).await.is_err() {
            tracing::debug!("a change of the subscriptions is answered before the bus has read its signal");
        }
    }

    /// Signals that deliveries were made or erased, and does not wait for the bus.
    pub(crate) fn queue_changed(&self) {
        drop(self.publish_soon(CHANGED, &self.changed));
    }

    /// Signals that events were submitted. A worker in this process needs no bus for that.
    pub(crate) fn submitted(&self) {
        match &self.nudge {
            Some(nudge) => nudge.notify_one(),
            None => drop(self.publish_soon(SUBMITTED, &self.submitted)),
        }
    }

    /// Resolves when the signal was published, or that failed.
    fn publish_soon(&self, message: Message, under_way: &Arc<Mutex<UnderWay>>) -> oneshot::Receiver<()> {
        let (done, published) = oneshot::channel();
        // Without a bus `done` is dropped here, which resolves it too.
        if !self.sockets.is_empty() {
            let is_first = {
                let mut under_way = locked(under_way);
                under_way.waiting.push(done);
                !std::mem::replace(&mut under_way.busy, true)
            };
            if is_first {
                tokio::spawn(self.clone().keep_publishing(message, Arc::clone(under_way)));
            }
        }
        published
    }

    async fn keep_publishing(self, message: Message, under_way: Arc<Mutex<UnderWay>>) {
        loop {
            let next = locked(&under_way).next();
            let Some(not_before) = next else { return };
            tokio::time::sleep_until(not_before).await;
            let waiting = std::mem::take(&mut locked(&under_way).waiting);
            let published = self.publish(message).await;
            locked(&under_way).note(published);
            // This is what they wait for.
            drop(waiting);
        }
    }

    /// Publishes on the first bus that takes it.
    async fn publish(&self, message: Message) -> Result<(), ClientError> {
        let mut failed = ClientError::Closed;
        for socket in self.sockets.iter() {
            match publish(socket, message).await {
                Ok(()) => return Ok(()),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Does a bus answer?
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

    /// Is there meant to be a bus at all?
    pub(crate) fn has_bus(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl UnderWay {
    /// When to publish it next; `None` if nobody waits for it.
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
                tracing::warn!(%error, "no bus reads the signals to the worker; changes may take effect a minute later");
            }
            Err(error) => tracing::debug!(%error, "still no bus reads the signals to the worker"),
            Ok(()) if was_failing => tracing::info!("the bus reads the signals to the worker again"),
            Ok(()) => {}
        }
    }
}

fn locked(under_way: &Mutex<UnderWay>) -> std::sync::MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn publish(socket: &Path, (topic, kind): Message) -> Result<(), ClientError> {
    let published = async {
        let mut client = Client::connect(socket, NAME).await?;
        client.sender().enqueue(topic, kind, &serde_json::Map::new())?;
        client.confirm(CHANGE_CONFIRM_TIMEOUT).await
    };
    let published = timeout(CHANGE_CONFIRM_TIMEOUT, published).await;
    published.unwrap_or(Err(ClientError::Unconfirmed(CHANGE_CONFIRM_TIMEOUT)))
}

#[cfg(test)]
mod tests {
    use decnet_bus::{Server, ServerOptions};
    use futures_util::future::join_all;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn changes_that_come_together_share_a_signal() {
        const CHANGES: usize = 50;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let server = Server::bind(ServerOptions { group: None, ..ServerOptions::new(&path) }).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let mut watcher = Client::connect(&path, "watcher").await.unwrap();
        watcher.subscribe(">").await.unwrap();
        let signal = Signal::new(vec![path.clone()], None);
        join_all((0..CHANGES).map(|_| signal.subscriptions_changed())).await;
        assert!(!locked(&signal.changed).is_failing);
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
    async fn a_bus_that_does_not_read_ends_no_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let _bus = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let signal = Signal::new(vec![path], None);
        signal.subscriptions_changed().await;
        signal.subscriptions_changed().await;
        assert!(!signal.is_bus_reachable().await);
    }

    #[tokio::test]
    async fn without_a_bus_nothing_is_waited_for() {
        Signal::new(Vec::new(), None).subscriptions_changed().await;
        let away = Signal::new(vec!["/nowhere/bus.sock".into()], None);
        away.subscriptions_changed().await;
        assert!(locked(&away.changed).is_failing);
    }
}
