//! The word to the worker: subscriptions, or the queue, have changed.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decnet_bus::Client;
use decnet_core::topic::own::CHANGED_TOPIC;
use tokio::time::Instant;

/// What the API says when it greets; the bus logs it.
const NAME: &str = "decnet-api";
const CHANGED_TYPE: &str = "changed";
/// How long a bus that did not answer is left alone.
const QUIET_AFTER_FAILURE: Duration = Duration::from_secs(2);
/// How long a bus gets to take the word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Says that something has changed, beside the request that changed it: a bus that is away neither fails nor delays
/// anything, since the worker looks by itself within a minute.
#[derive(Clone)]
pub(crate) struct Signal {
    sockets: Arc<[PathBuf]>,
    under_way: Arc<Mutex<UnderWay>>,
}

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
    pub(crate) fn new(sockets: Vec<PathBuf>) -> Self {
        Self { sockets: sockets.into(), under_way: Arc::default() }
    }

    /// Says it, soon; changes that come together are said once.
    pub(crate) fn changed(&self) {
        if self.sockets.is_empty() {
            return;
        }
        let mut under_way = self.under_way();
        under_way.again = true;
        if !under_way.busy {
            under_way.busy = true;
            tokio::spawn(self.clone().say());
        }
    }

    async fn say(self) {
        while let Some(not_before) = self.next() {
            tokio::time::sleep_until(not_before).await;
            let said = tokio::time::timeout(PATIENCE, self.publish()).await.unwrap_or(false);
            self.under_way().quiet_until = (!said).then(|| Instant::now() + QUIET_AFTER_FAILURE);
        }
    }

    /// When to say it next; nothing if all is said.
    fn next(&self) -> Option<Instant> {
        let mut under_way = self.under_way();
        under_way.busy = std::mem::take(&mut under_way.again);
        under_way.busy.then(|| under_way.quiet_until.unwrap_or_else(Instant::now))
    }

    async fn publish(&self) -> bool {
        for socket in self.sockets.iter() {
            match publish(socket).await {
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

    fn under_way(&self) -> std::sync::MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn publish(socket: &std::path::Path) -> Result<(), decnet_bus::ClientError> {
    let mut client = Client::connect(socket, NAME).await?;
    client.publish(CHANGED_TOPIC, CHANGED_TYPE, &serde_json::Map::new()).await?;
    client.close().await
}
