//! Notifications to the worker that subscriptions or the queue have changed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use decnet_bus::{Client, ClientError};
use decnet_core::limits::CHANGE_CONFIRM_TIMEOUT;
use decnet_core::topic::system_topics::{CHANGED_TOPIC, SUBMITTED_TOPIC};
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

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
    changed: Arc<Signal>,
    submitted: Arc<Signal>,
}

/// One kind of signal. Requests that arrive during a publication share the next publication.
struct Signal {
    topic: &'static str,
    kind: &'static str,
    /// The number of requested publications.
    requests: AtomicU64,
    /// Locked during a publication.
    last: Mutex<Publication>,
}

/// The last publication of a signal.
#[derive(Default)]
struct Publication {
    /// The number of requests when the publication began.
    requests: u64,
    /// Whether the bus has read the signal, or no bus is running.
    is_confirmed: bool,
    /// The earliest time of the next publication, if the bus did not read this one.
    quiet_until: Option<Instant>,
    /// Whether the publication failed, which was logged.
    has_failed: bool,
}

impl WorkerNotifier {
    pub(crate) fn new(sockets: Vec<PathBuf>, nudge: Option<Arc<Notify>>) -> Self {
        let signal = |topic, kind| {
            Arc::new(Signal { topic, kind, requests: AtomicU64::new(0), last: Mutex::default() })
        };
        let (changed, submitted) = (signal(CHANGED_TOPIC, "changed"), signal(SUBMITTED_TOPIC, "submitted"));
        Self { sockets: sockets.into(), nudge, changed, submitted }
    }

    /// Signals that subscriptions have changed. Returns once the bus has read a signal that began after this call, or after
    /// [`CHANGE_CONFIRM_TIMEOUT`]. Concurrent changes share a signal.
    ///
    /// Returns whether the change is confirmed: the bus has read the signal, or no bus is running.
    pub(crate) async fn subscriptions_changed(&self) -> bool {
        let published = timeout(CHANGE_CONFIRM_TIMEOUT, self.publish_soon(&self.changed)).await;
        matches!(published, Ok(Ok(true)))
    }

    /// Signals that deliveries were created or erased, without waiting for the bus.
    pub(crate) fn queue_changed(&self) {
        drop(self.publish_soon(&self.changed));
    }

    /// Signals that events were submitted. A worker in this process is notified directly.
    pub(crate) fn submitted(&self) {
        match &self.nudge {
            Some(nudge) => nudge.notify_one(),
            None => drop(self.publish_soon(&self.submitted)),
        }
    }

    /// Requests a publication. The task returns whether a publication that began after this call is confirmed.
    fn publish_soon(&self, signal: &Arc<Signal>) -> JoinHandle<bool> {
        let (notifier, signal) = (self.clone(), Arc::clone(signal));
        let request = signal.requests.fetch_add(1, Ordering::AcqRel) + 1;
        tokio::spawn(async move {
            let mut last = signal.last.lock().await;
            if notifier.has_bus() && last.requests < request {
                sleep_until(last.quiet_until.unwrap_or_else(Instant::now)).await;
                last.requests = signal.requests.load(Ordering::Acquire);
                last.note(notifier.exchange(Some(&signal)).await);
            }
            last.is_confirmed || !notifier.has_bus()
        })
    }

    /// Connects to each bus in turn until one confirms that it has read what was sent to it: the signal, if there is one.
    ///
    /// # Errors
    /// No bus has confirmed. Returns the first error of a running bus, or else the last error.
    async fn exchange(&self, signal: Option<&Signal>) -> Result<(), ClientError> {
        let mut failed: Option<ClientError> = None;
        for socket in self.sockets.iter() {
            let confirmed = async {
                let mut client = Client::connect(socket, NAME).await?;
                if let Some(Signal { topic, kind, .. }) = signal {
                    client.sender.enqueue(topic, kind, &serde_json::Map::new())?;
                }
                client.confirm(CHANGE_CONFIRM_TIMEOUT).await
            };
            let confirmed = timeout(CHANGE_CONFIRM_TIMEOUT, confirmed).await;
            match confirmed.unwrap_or(Err(ClientError::Unconfirmed(CHANGE_CONFIRM_TIMEOUT))) {
                Ok(()) => return Ok(()),
                Err(error) => failed = failed.filter(|first| !first.is_absent()).or(Some(error)),
            }
        }
        Err(failed.unwrap_or(ClientError::Closed))
    }

    /// Returns whether a bus answers.
    pub(crate) async fn is_bus_reachable(&self) -> bool {
        matches!(timeout(CHANGE_CONFIRM_TIMEOUT, self.exchange(None)).await, Ok(Ok(())))
    }

    /// Returns whether a bus is configured.
    pub(crate) fn has_bus(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl Publication {
    /// Records the result of this publication, and logs a change of the result.
    fn note(&mut self, published: Result<(), ClientError>) {
        self.is_confirmed = published.as_ref().err().is_none_or(ClientError::is_absent);
        let is_stuck = matches!(published, Err(ClientError::Unconfirmed(_)));
        self.quiet_until = is_stuck.then(|| Instant::now() + QUIET_AFTER_TIMEOUT);
        let had_failed = std::mem::replace(&mut self.has_failed, published.is_err());
        match published {
            Err(error) if !had_failed => {
                tracing::warn!(%error, "cannot signal the worker over the bus; changes may take up to a minute to apply");
            }
            Err(error) => tracing::debug!(%error, "still cannot signal the worker over the bus"),
            Ok(()) if had_failed => tracing::info!("signals reach the worker over the bus again"),
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
        let confirmed = join_all((0..CHANGES).map(|_| notifier.subscriptions_changed())).await;
        assert_eq!(confirmed, [true; CHANGES]);
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
    async fn stuck_bus_confirms_nothing_and_delays_no_change_for_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let _bus = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let notifier = WorkerNotifier::new(vec![path, "/nowhere/bus.sock".into()], None);
        for _ in 0..2 {
            assert!(!notifier.subscriptions_changed().await);
        }
        assert!(!notifier.is_bus_reachable().await);
    }

    #[tokio::test]
    async fn changes_need_no_confirmation_without_a_bus() {
        assert!(WorkerNotifier::new(Vec::new(), None).subscriptions_changed().await);
        let away = WorkerNotifier::new(vec!["/nowhere/bus.sock".into()], None);
        assert!(away.subscriptions_changed().await);
        assert!(away.changed.last.lock().await.has_failed);
    }
}
