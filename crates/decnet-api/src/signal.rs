//! The word to the worker: subscriptions, or the queue, have changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decnet_bus::Client;
use decnet_core::topic::own::{CHANGED_TOPIC, SUBMITTED_TOPIC};
use tokio::sync::Notify;
use tokio::time::Instant;

/// What the API says when it greets; the bus logs it.
const NAME: &str = "decnet-api";
/// How long a bus that did not answer is left alone.
const QUIET_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How long a bus gets to take the word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says that something has changed, beside the request that changed it: a bus that is away neither fails nor delays
/// anything, since the worker looks by itself within a minute.
#[derive(Clone)]
pub(crate) struct Signal {
    sockets: Arc<[PathBuf]>,
    nudge: Option<Arc<Notify>>,
    changed: Arc<Mutex<UnderWay>>,
    submitted: Arc<Mutex<UnderWay>>,
}

/// What is said: a topic, and a type.
type Word = (&'static str, &'static str);
const CHANGED: Word = (CHANGED_TOPIC, "changed");
const SUBMITTED: Word = (SUBMITTED_TOPIC, "submitted");

#[derive(Default)]
struct UnderWay {
    /// Somebody is saying it now.
    busy: bool,
    /// It must be said again: something changed since it was begun.
    again: bool,
    /// The last try failed; not before then another.
    quiet_until: Option<Instant>,
}

impl Signal {
    pub(crate) fn new(sockets: Vec<PathBuf>, nudge: Option<Arc<Notify>>) -> Self {
        Self { sockets: sockets.into(), nudge, changed: Arc::default(), submitted: Arc::default() }
    }

    /// Subscriptions have changed, or deliveries were made. Said soon; changes that come together are said once.
    pub(crate) fn changed(&self) {
        self.say(CHANGED, &self.changed);
    }

    /// Events were submitted. A worker in this process needs no bus to hear of it.
    pub(crate) fn submitted(&self) {
        match &self.nudge {
            Some(nudge) => nudge.notify_one(),
            None => self.say(SUBMITTED, &self.submitted),
        }
    }

    fn say(&self, word: Word, under_way: &Arc<Mutex<UnderWay>>) {
        if self.sockets.is_empty() {
            return;
        }
        let is_first = {
            let mut under_way = locked(under_way);
            under_way.again = true;
            !std::mem::replace(&mut under_way.busy, true)
        };
        if is_first {
            tokio::spawn(self.clone().keep_saying(word, Arc::clone(under_way)));
        }
    }

    async fn keep_saying(self, word: Word, under_way: Arc<Mutex<UnderWay>>) {
        loop {
            let next = locked(&under_way).next();
            let Some(not_before) = next else { return };
            tokio::time::sleep_until(not_before).await;
            let said = tokio::time::timeout(PATIENCE, self.publish(word)).await.unwrap_or(false);
            locked(&under_way).quiet_until = (!said).then(|| Instant::now() + QUIET_AFTER_FAILURE);
        }
    }

    async fn publish(&self, word: Word) -> bool {
        for socket in self.sockets.iter() {
            match publish(socket, word).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%error, "the worker was not told of a change"),
            }
        }
        false
    }

    /// Does a bus answer?
    pub(crate) async fn is_bus_reachable(&self) -> bool {
        let reach = async {
            for socket in self.sockets.iter() {
                if let Ok(client) = Client::connect(socket, NAME).await {
                    return client.close().await.is_ok();
                }
            }
            false
        };
        tokio::time::timeout(PATIENCE, reach).await.unwrap_or(false)
    }

    /// Is there meant to be a bus at all?
    pub(crate) fn has_bus(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl UnderWay {
    /// When to say it next; nothing if all is said.
    fn next(&mut self) -> Option<Instant> {
        self.busy = std::mem::take(&mut self.again);
        self.busy.then(|| self.quiet_until.unwrap_or_else(Instant::now))
    }
}

fn locked(under_way: &Mutex<UnderWay>) -> std::sync::MutexGuard<'_, UnderWay> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn publish(socket: &std::path::Path, (topic, kind): Word) -> Result<(), decnet_bus::ClientError> {
    let mut client = Client::connect(socket, NAME).await?;
    client.publish(topic, kind, &serde_json::Map::new()).await?;
    client.close().await
}
