//! A connection that heals itself: it comes back, asks again for what was wanted, and says each change once.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use decnet_core::limits::MAX_BUS_BACKOFF;
use decnet_core::topic::Pattern;
use serde::Serialize;
use tokio::time::Instant;

use super::client::{Client, Error, Sender};
use super::server::is_lossless;
use crate::notice::Notice;
use crate::received::Received;

/// First wait before a further try to connect.
const MIN_BACKOFF: Duration = Duration::from_millis(100);
/// A connection that lived shorter counts as a failed try.
const PROVEN: Duration = Duration::from_secs(1);
/// Unsent bytes beyond which a bus that does not read counts as gone.
const MAX_UNSENT_BYTES: usize = 8 * 1024 * 1024;
/// What a bus gets to take the last frames.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// What [`Source::next`] brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The bus is there; every wanted pattern has been asked for, before anything else is sent.
    Connected,
    /// There are new events in the caller's buffer.
    Messages,
    /// The bus has sent a [notice](Source::notice).
    Notice,
    /// The bus is away. The next call starts trying.
    Disconnected,
}

/// The events of a set of patterns, for as long as it is asked: the bus may come and go.
///
/// While the bus is away its events are gone (there are none). While the source is away a bus of ours keeps them
/// for a [lossless reader](super::server::Lossless), for a while; any other bus, and for any other name, does
/// not. One task owns the source and calls
/// [`Self::next`] in a `select!`; publishing and changing patterns only fill a buffer, which `next` writes,
/// so that a bus that does not read never keeps its events from being drained.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    name: Box<str>,
    wanted: BTreeSet<Pattern>,
    max_backoff: Duration,
    wants_notices: bool,
    link: Link,
    attempt: Option<Attempt>,
}

/// A connection on its way. Kept over a cancelled [`Source::next`], or a bus would see one come and go at once.
struct Attempt(Pin<Box<dyn Future<Output = Result<Client, Error>> + Send>>);

impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attempt")
    }
}

#[derive(Debug)]
enum Link {
    Up { client: Client, since: Instant, backoff: Duration },
    Away { since: Instant, retry_at: Instant, backoff: Duration, was_said: bool },
}

impl Source {
    /// A source at the socket `path` that greets with `name`. Nothing happens before [`Self::next`].
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, name: &str) -> Self {
        let now = Instant::now();
        Self {
            path: path.into(),
            name: name.into(),
            wanted: BTreeSet::new(),
            max_backoff: MAX_BUS_BACKOFF,
            wants_notices: false,
            link: Link::Away { since: now, retry_at: now, backoff: MIN_BACKOFF, was_said: false },
            attempt: None,
        }
    }

    /// Waits at most this long, and at least 100 ms, between two tries.
    #[must_use]
    pub fn with_max_backoff(mut self, longest: Duration) -> Self {
        self.max_backoff = longest.max(MIN_BACKOFF);
        self
    }

    /// Asks for [notices](Self::notice) with each greeting.
    #[must_use]
    pub fn with_notices(mut self) -> Self {
        self.wants_notices = true;
        self
    }

    /// Replaces the wanted patterns. The bus is asked for the new ones before the old ones are given up, so
    /// that an event that both sets match is not missed.
    pub fn set_patterns(&mut self, wanted: impl IntoIterator<Item = Pattern>) {
        let wanted: BTreeSet<Pattern> = wanted.into_iter().collect();
        if let Link::Up { client, .. } = &mut self.link {
            let sender = client.sender();
            ask(sender, wanted.difference(&self.wanted), Sender::enqueue_subscribe);
            ask(sender, self.wanted.difference(&wanted), Sender::enqueue_unsubscribe);
        }
        self.wanted = wanted;
    }

    /// Is there a connection, as far as is known?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Up { .. })
    }

    /// The last notice of the bus on this connection. `None` while there is none: the bus is away, or it is DECNET's, which
    /// sends none, or none was [asked for](Self::with_notices).
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        match &self.link {
            Link::Up { client, .. } => client.notice(),
            Link::Away { .. } => None,
        }
    }

    /// Greets again with the next call of [`Self::next`], so that a bus that has refused what the name asks for looks again.
    pub fn greet_again(&mut self) {
        if let Link::Up { client, .. } = &mut self.link
            && let Err(error) = client.sender().enqueue_greeting_for_notices(&self.name)
        {
            tracing::debug!(%error, "the bus is not greeted again");
        }
    }

    /// Publishes an event with the next call of [`Self::next`]; false if the bus is away, and then the event
    /// is gone.
    ///
    /// # Errors
    /// [`Error::Encode`] for a topic or payload that does not fit a frame.
    pub fn publish(&mut self, topic: &str, kind: &str, payload: &impl Serialize) -> Result<bool, Error> {
        match &mut self.link {
            Link::Up { client, .. } => client.sender().enqueue(topic, kind, payload).map(|()| true),
            Link::Away { .. } => Ok(false),
        }
    }

    /// Waits for the next thing to happen. Appends the events of [`Step::Messages`] to `out`, leaves it alone
    /// otherwise. Loses nothing when it is cancelled.
    pub async fn next(&mut self, out: &mut Vec<Received>) -> Step {
        match &mut self.link {
            Link::Up { client, .. } => {
                let before = out.len();
                match exchange(client, out).await {
                    Ok(()) if out.len() > before => Step::Messages,
                    Ok(()) => Step::Notice,
                    Err(error) => self.lose(&error),
                }
            }
            Link::Away { .. } => {
                self.connect().await;
                Step::Connected
            }
        }
    }

    /// Writes what was published last and says goodbye, within a second.
    ///
    /// The events that [`Self::next`] has appended are the caller's. Those that it has not are gone, unless
    /// this is a lossless reader at a bus of ours, which keeps every one of them for the successor.
    pub async fn close(self) {
        let Link::Up { client, .. } = self.link else { return };
        let keeps = is_lossless(&self.name);
        let goodbye = async { if keeps { client.hand_back().await } else { client.close().await } };
        match tokio::time::timeout(CLOSE_GRACE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the bus was gone before the goodbye"),
            Err(_) => tracing::debug!("the bus does not read; closed without a goodbye"),
        }
    }

    fn lose(&mut self, error: &Error) -> Step {
        let Link::Up { since, backoff, .. } = self.link else { return Step::Disconnected };
        let backoff = if since.elapsed() >= PROVEN { MIN_BACKOFF } else { backoff };
        tracing::warn!(%error, socket = %self.path.display(), "the bus is away; its events are missed until it is back");
        let now = Instant::now();
        let next_backoff = (backoff * 2).min(self.max_backoff);
        self.link = Link::Away { since: now, retry_at: now + backoff, backoff: next_backoff, was_said: true };
        Step::Disconnected
    }

    /// Tries until it succeeds.
    async fn connect(&mut self) {
        while let Link::Away { since, retry_at, backoff, .. } = self.link {
            tokio::time::sleep_until(retry_at).await;
            let attempt = self.attempt.get_or_insert_with(|| {
                let (path, name, wants_notices) = (self.path.clone(), self.name.clone(), self.wants_notices);
                Attempt(Box::pin(async move {
                    if wants_notices {
                        Client::connect_with_notices(&path, &name).await
                    } else {
                        Client::connect(&path, &name).await
                    }
                }))
            });
            let connected = attempt.0.as_mut().await;
            self.attempt = None;
            match connected {
                Ok(client) => self.welcome(client, since, backoff),
                Err(error) => self.put_off(&error),
            }
        }
    }

    fn welcome(&mut self, mut client: Client, away_since: Instant, backoff: Duration) {
        ask(client.sender(), self.wanted.iter(), Sender::enqueue_subscribe);
        let away = away_since.elapsed();
        tracing::info!(socket = %self.path.display(), ?away, patterns = self.wanted.len(), "connected to the bus");
        self.link = Link::Up { client, since: Instant::now(), backoff };
    }

    fn put_off(&mut self, error: &Error) {
        let longest = self.max_backoff;
        let Link::Away { retry_at, backoff, was_said, .. } = &mut self.link else { return };
        if !std::mem::replace(was_said, true) {
            tracing::warn!(%error, "the bus is away; trying on until it is there");
        }
        *retry_at = Instant::now() + *backoff;
        *backoff = (*backoff * 2).min(longest);
    }
}

/// Reads, and meanwhile writes what waits to be written.
async fn exchange(client: &mut Client, out: &mut Vec<Received>) -> Result<(), Error> {
    let (sender, receiver) = client.halves();
    if sender.buffered() > MAX_UNSENT_BYTES {
        return Err(Error::Stuck);
    }
    let mut received = std::pin::pin!(receiver.recv_batch(out));
    if sender.buffered() > 0 {
        tokio::select! {
            result = &mut received => return result,
            // What the bus sent before it went is still there to be read; reading meets the end by itself.
            result = sender.flush() => if let Err(error) = result {
                tracing::debug!(%error, "the bus takes nothing more");
            },
        }
    }
    received.await
}

/// Asks for or gives up each pattern; a stored pattern always fits a frame.
fn ask<'a>(
    sender: &mut Sender,
    patterns: impl Iterator<Item = &'a Pattern>,
    enqueue: impl Fn(&mut Sender, &str) -> Result<(), Error>,
) {
    for pattern in patterns {
        if let Err(error) = enqueue(sender, pattern.as_str()) {
            tracing::error!(%error, %pattern, "a pattern cannot be sent to the bus");
        }
    }
}
