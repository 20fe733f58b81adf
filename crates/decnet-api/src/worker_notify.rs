//! Notifications to the worker that subscriptions or the queue have changed, and events about entries of the audit list.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use decnet_bus::{Client, ClientError};
use decnet_core::limits::{CHANGE_CONFIRM_TIMEOUT, MAX_AUDIT_UNPUBLISHED};
use decnet_core::topic::system_topics::{AUDIT_TOPIC, CHANGED_TOPIC, SUBMITTED_TOPIC};
use decnet_runtime::sync::lock;
use decnet_store::catalog::AuditEntry;
use serde_json::{Value, json};
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
    recorded: Arc<Signal>,
    /// Events about entries of the audit list, which the next publication of any signal sends.
    entries: Arc<StdMutex<VecDeque<Value>>>,
}

/// One kind of signal. Requests that arrive during a publication share the next publication.
struct Signal {
    /// The topic and the type of the message; `None` if only the waiting entries are sent.
    message: Option<(&'static str, &'static str)>,
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
        let signal =
            |message| Arc::new(Signal { message, requests: AtomicU64::new(0), last: Mutex::default() });
        let changed = signal(Some((CHANGED_TOPIC, "changed")));
        let submitted = signal(Some((SUBMITTED_TOPIC, "submitted")));
        let recorded = signal(None);
        Self { sockets: sockets.into(), nudge, changed, submitted, recorded, entries: Arc::default() }
    }

    /// Keeps entries of the audit list for the next publication, at most the last [`MAX_AUDIT_UNPUBLISHED`].
    pub(crate) fn keep(&self, entries: &[AuditEntry]) {
        let mut kept = lock(&self.entries);
        kept.extend(entries.iter().map(AuditEntry::event).filter(|_| self.has_bus()));
        let surplus = kept.len().saturating_sub(MAX_AUDIT_UNPUBLISHED);
        kept.drain(..surplus);
    }

    /// Publishes the kept entries of the audit list, if there are any, without waiting for the bus.
    pub(crate) fn entries_recorded(&self) {
        if !lock(&self.entries).is_empty() {
            drop(self.publish_soon(&self.recorded));
        }
    }

    /// Signals that subscriptions have changed, and publishes the kept entries of the audit list. Returns once the bus has read a signal that began after this call, or after
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
                // The signal comes first, so that a new subscription gets the event about its creation.
                let signal = signal.message.map(|(topic, kind)| (topic, kind, json!({})));
                let entries = std::mem::take(&mut *lock(&notifier.entries)).into_iter();
                let entries = entries.map(|entry| (AUDIT_TOPIC, "changed", entry));
                let messages: Vec<_> = signal.into_iter().chain(entries).collect();
                last.note(notifier.exchange(&messages).await);
            }
            last.is_confirmed || !notifier.has_bus()
        })
    }

    /// Connects to each bus in turn until one confirms that it has read what was sent to it: the messages, if there are any.
    ///
    /// # Errors
    /// No bus has confirmed. Returns the first error of a running bus, or else the last error.
    async fn exchange(&self, messages: &[(&str, &str, Value)]) -> Result<(), ClientError> {
        let mut failed: Option<ClientError> = None;
        for socket in self.sockets.iter() {
            let confirmed = async {
                let mut client = Client::connect(socket, NAME).await?;
                for (topic, kind, payload) in messages {
                    client.sender.enqueue(topic, kind, payload)?;
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
        matches!(timeout(CHANGE_CONFIRM_TIMEOUT, self.exchange(&[])).await, Ok(Ok(())))
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
    use decnet_store::catalog::AuditObject;
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
    async fn entries_follow_the_signal_of_their_change() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bus.sock");
        let server = Server::bind(ServerOptions { group: None, ..ServerOptions::new(&path) }).unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(server.run(stop.clone()));
        let mut watcher = Client::connect(&path, "watcher").await.unwrap();
        watcher.subscribe("system.webhook.>").await.unwrap();
        let notifier = WorkerNotifier::new(vec![path.clone()], None);
        let entry = |id| AuditEntry {
            id,
            at: decnet_core::time::UnixMicros(0),
            actor: decnet_store::catalog::Actor::setup_link(),
            action: "create".into(),
            object: AuditObject { kind: "token".into(), id: "a".into(), name: "b".into() },
            changes: Vec::new(),
        };
        notifier.entries_recorded();
        notifier.keep(&[entry(1), entry(2)]);
        assert!(notifier.subscriptions_changed().await);
        notifier.keep(&[entry(3)]);
        notifier.entries_recorded();
        let mut received: Vec<decnet_bus::Received> = Vec::new();
        while received.len() < 4 {
            watcher.recv_batch(&mut received).await.unwrap();
        }
        let topics: Vec<_> = received.iter().map(|event| &*event.topic).collect();
        assert_eq!(topics, [CHANGED_TOPIC, AUDIT_TOPIC, AUDIT_TOPIC, AUDIT_TOPIC]);
        let last: Value = serde_json::from_slice(&received[3].body).unwrap();
        assert_eq!(last["payload"]["id"], 3);
        notifier.keep(&(0..400).map(entry).collect::<Vec<_>>());
        assert_eq!(lock(&notifier.entries).len(), MAX_AUDIT_UNPUBLISHED);
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
