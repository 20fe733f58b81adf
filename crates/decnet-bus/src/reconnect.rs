//! A connection that reconnects and resubscribes automatically, and logs each change once.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use decnet_core::limits::MAX_BUS_BACKOFF;
use decnet_core::topic::Pattern;
use decnet_runtime::backoff::Backoff;
use serde::Serialize;
use tokio::time::Instant;

use crate::broker::is_lossless;
use crate::client::{Client, Error, Sender};
use crate::notice::{self, Notice};
use crate::received::Received;

/// The backoff before the first retry.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// The minimum age of a connection that does not count as a failed attempt when it ends.
const MIN_STABLE_AGE: Duration = Duration::from_secs(1);
/// The number of unsent bytes beyond which a bus that does not read counts as disconnected.
const MAX_UNSENT_BYTES: usize = 8 * 1024 * 1024;
/// The time that the bus has to accept the last frames.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// The result of [`Source::next`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The connection is up. The subscriptions to all wanted patterns are enqueued before anything else.
    Connected,
    /// New events are in the caller's buffer.
    Messages,
    /// The bus has sent a [notice](Source::notice).
    Notice,
    /// The connection is down. The next call begins to reconnect.
    Disconnected,
}

/// A stream of the events that match a set of patterns, across any number of reconnections.
///
/// Events that are published while this source is disconnected are lost, unless it is a
/// [lossless reader](crate::broker::Lossless) of this project's bus, which retains them for a while. One task owns the
/// source and calls [`Self::next`] in a `select!`. Publishing and changing patterns only fill a buffer, which `next`
/// writes while it reads, so that a bus that does not read never keeps its events from being drained.
#[must_use]
pub struct Source {
    path: PathBuf,
    name: Box<str>,
    wanted: BTreeSet<Pattern>,
    backoff: Backoff,
    /// The body of each `HELLO`.
    greeting: &'static [u8],
    link: Link,
    attempt: Option<Attempt>,
}

/// A connection attempt. It survives a cancelled [`Source::next`], so that the bus does not see repeated connects.
type Attempt = Pin<Box<dyn Future<Output = Result<Client, Error>> + Send>>;

enum Link {
    Up { client: Client, since: Instant },
    Away { since: Instant, retry_at: Instant, is_logged: bool },
}

impl Source {
    /// Creates a source for the socket `path` that sends `HELLO` with `name`. Connects with the first [`Self::next`].
    pub fn new(path: impl Into<PathBuf>, name: &str) -> Self {
        let now = Instant::now();
        Self {
            path: path.into(),
            name: name.into(),
            wanted: BTreeSet::new(),
            backoff: Backoff::new(MIN_BACKOFF, MAX_BUS_BACKOFF),
            greeting: &[],
            link: Link::Away { since: now, retry_at: now, is_logged: false },
            attempt: None,
        }
    }

    /// Sets the maximum backoff between two attempts, at least 100 ms.
    pub fn with_max_backoff(mut self, max: Duration) -> Self {
        self.backoff = Backoff::new(MIN_BACKOFF, max);
        self
    }

    /// Requests [notices](Self::notice) with each `HELLO`.
    pub fn with_notices(mut self) -> Self {
        self.greeting = notice::ASK;
        self
    }

    /// Replaces the wanted patterns. Subscribes to the new patterns before it unsubscribes from the old, so that no event
    /// that both sets match is missed.
    pub fn set_patterns(&mut self, wanted: impl IntoIterator<Item = Pattern>) {
        let wanted: BTreeSet<Pattern> = wanted.into_iter().collect();
        if let Link::Up { client, .. } = &mut self.link {
            let sender = &mut client.sender;
            enqueue_all(sender, wanted.difference(&self.wanted), Sender::enqueue_subscribe);
            enqueue_all(sender, self.wanted.difference(&wanted), Sender::enqueue_unsubscribe);
        }
        self.wanted = wanted;
    }

    /// Returns the last notice of the bus on this connection. `None` while disconnected, from DECNET's bus, which sends
    /// none, and if notices were not [requested](Self::with_notices).
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        match &self.link {
            Link::Up { client, .. } => client.receiver.notice(),
            Link::Away { .. } => None,
        }
    }

    /// Sends `HELLO` again with the next [`Self::next`], so that the bus decides again about what the name requests.
    pub fn greet_again(&mut self) {
        if let Link::Up { client, .. } = &mut self.link
            && let Err(error) = client.sender.enqueue_greeting_for_notices(&self.name)
        {
            tracing::debug!(%error, "cannot repeat the HELLO to the bus");
        }
    }

    /// Publishes an event with the next [`Self::next`]. Returns false if disconnected; the event is then discarded.
    ///
    /// # Errors
    /// [`Error::Encode`] for a topic or payload that does not fit a frame.
    pub fn publish(&mut self, topic: &str, kind: &str, payload: &impl Serialize) -> Result<bool, Error> {
        match &mut self.link {
            Link::Up { client, .. } => client.sender.enqueue(topic, kind, payload).map(|()| true),
            Link::Away { .. } => Ok(false),
        }
    }

    /// Waits for the next [`Step`]. Appends the events of [`Step::Messages`] to `out`, which is otherwise unchanged. Cancel
    /// safe.
    pub async fn next(&mut self, out: &mut Vec<Received>) -> Step {
        match &mut self.link {
            Link::Up { client, .. } => {
                let before = out.len();
                match exchange(client, out).await {
                    Ok(()) if out.len() > before => Step::Messages,
                    Ok(()) => Step::Notice,
                    Err(error) => self.disconnect(&error),
                }
            }
            Link::Away { .. } => {
                self.connect().await;
                Step::Connected
            }
        }
    }

    /// Flushes and sends `BYE`, within a second.
    ///
    /// Events that [`Self::next`] has not returned are lost, unless this is a lossless reader of this project's bus,
    /// which keeps them for the successor.
    pub async fn close(self) {
        let Link::Up { client, .. } = self.link else { return };
        let keeps = is_lossless(&self.name);
        let bye = async { if keeps { client.close_resumable().await } else { client.close().await } };
        match tokio::time::timeout(CLOSE_GRACE, bye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection to the bus failed before BYE was sent"),
            Err(_) => tracing::debug!("the bus does not read; closed without BYE"),
        }
    }

    fn disconnect(&mut self, error: &Error) -> Step {
        let Link::Up { since, .. } = self.link else { return Step::Disconnected };
        if since.elapsed() >= MIN_STABLE_AGE {
            self.backoff.reset();
        }
        tracing::warn!(%error, socket = %self.path.display(), "disconnected from the bus; events are missed until it is reconnected");
        let now = Instant::now();
        self.link = Link::Away { since: now, retry_at: now + self.backoff.next_delay(), is_logged: true };
        Step::Disconnected
    }

    /// Connects. Retries until a connection is established.
    async fn connect(&mut self) {
        while let Link::Away { since, retry_at, .. } = self.link {
            tokio::time::sleep_until(retry_at).await;
            let attempt = self.attempt.get_or_insert_with(|| {
                let (path, name, greeting) = (self.path.clone(), self.name.clone(), self.greeting);
                Box::pin(async move { Client::connect_with(&path, &name, greeting).await })
            });
            let connected = attempt.await;
            self.attempt = None;
            match connected {
                Ok(client) => self.on_connected(client, since),
                Err(error) => self.schedule_retry(&error),
            }
        }
    }

    fn on_connected(&mut self, mut client: Client, away_since: Instant) {
        enqueue_all(&mut client.sender, self.wanted.iter(), Sender::enqueue_subscribe);
        let away = away_since.elapsed();
        tracing::info!(socket = %self.path.display(), ?away, patterns = self.wanted.len(), "connected to the bus");
        self.link = Link::Up { client, since: Instant::now() };
    }

    fn schedule_retry(&mut self, error: &Error) {
        let Link::Away { retry_at, is_logged, .. } = &mut self.link else { return };
        if !std::mem::replace(is_logged, true) {
            tracing::warn!(%error, "cannot connect to the bus; retrying until it is reachable");
        }
        *retry_at = Instant::now() + self.backoff.next_delay();
    }
}

/// Reads, and meanwhile writes the buffered frames.
async fn exchange(client: &mut Client, out: &mut Vec<Received>) -> Result<(), Error> {
    let Client { sender, receiver } = client;
    if sender.buffered() > MAX_UNSENT_BYTES {
        return Err(Error::Stuck);
    }
    let mut received = std::pin::pin!(receiver.recv_batch(out));
    if sender.buffered() > 0 {
        tokio::select! {
            result = &mut received => return result,
            // Events that the bus sent before it closed can still be read; the read finds the end of the stream.
            result = sender.flush() => if let Err(error) = result {
                tracing::debug!(%error, "cannot write to the bus");
            },
        }
    }
    received.await
}

/// Enqueues a frame for each pattern; a stored pattern always fits a frame.
fn enqueue_all<'a>(
    sender: &mut Sender,
    patterns: impl Iterator<Item = &'a Pattern>,
    enqueue: impl Fn(&mut Sender, &str) -> Result<(), Error>,
) {
    for pattern in patterns {
        if let Err(error) = enqueue(sender, pattern.as_str()) {
            tracing::error!(%error, %pattern, "cannot send a pattern to the bus");
        }
    }
}
