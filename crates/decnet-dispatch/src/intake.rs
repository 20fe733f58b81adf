//! From the bus to the dispatcher: drain the socket at once, on a thread of its own, and make events.
//!
//! A bus drops what a slow reader leaves unread, so nothing that the dispatcher does may hold up the reading.
//! What is read and not yet committed is bounded in bytes; beyond that the socket is left unread.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use decnet_bus::{Losses, Received, Source, Step};
use decnet_core::event::Event;
use decnet_core::limits::MAX_INTAKE_BYTES;
use decnet_core::topic::Pattern;
use decnet_core::topic::own::{
    BUS_HEALTH_TOPIC, CHANGED_TOPIC, CONTROL_TOPIC, HEALTH_TOPIC, SUBMITTED_TOPIC,
};
use decnet_store::queue::Health;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::stats::Stats;

const HEALTH_TYPE: &str = "health";
const WORKER: &str = "webhook";

/// Events that one read brought, and the room they take until they are committed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    /// Given back when the batch is dropped.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// What the bus asks of the worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The subscriptions have changed.
    Reload,
    /// Events were submitted.
    Submitted,
    /// Stop, as with SIGTERM.
    Stop,
}

/// What the worker tells on the bus.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
}

/// The reading side of the worker.
pub(crate) struct Intake {
    pub(crate) source: Source,
    pub(crate) batches: mpsc::UnboundedSender<Batch>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    /// What to subscribe to; `None` until the subscriptions have been read.
    pub(crate) wanted: watch::Receiver<Option<Vec<Pattern>>>,
    pub(crate) heartbeat: Duration,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) publications: mpsc::Receiver<Publication>,
    /// May a subscription want the bus's heartbeats?
    pub(crate) wants_bus_health: bool,
}

impl Intake {
    /// Starts the thread; it ends with `stop`, or when the dispatcher is gone.
    pub(crate) fn spawn(self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("intake".into());
        thread.spawn(move || runtime.block_on(self.run(stop)))
    }

    async fn run(mut self, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_INTAKE_BYTES));
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut received = Vec::new();
        // To listen before it is known to what would be to miss it.
        tokio::select! {
            () = known(&mut self.wanted) => self.want(),
            () = stop.cancelled() => return,
        }
        loop {
            tokio::select! {
                step = self.source.next(&mut received) => match step {
                    Step::Connected => self.greet(),
                    Step::Messages => self.hand_over(&mut received, &room).await,
                    Step::Disconnected => self.stats.bus_is(false),
                },
                Ok(()) = self.wanted.changed() => self.want(),
                _ = heartbeat.tick() => self.beat(),
                Some(publication) = self.publications.recv() => self.publish(&publication),
                () = stop.cancelled() => break,
            }
        }
        self.source.close().await;
    }

    /// The bus is there. A signal may have been missed while it was not, also between the first look at the subscriptions and
    /// this.
    fn greet(&mut self) {
        self.stats.bus_is(true);
        self.beat();
        if self.signals.send(Signal::Reload).is_err() {
            tracing::debug!("the dispatcher has stopped already");
        }
    }

    /// Subscribes to the cover of all patterns, and to what concerns the worker itself.
    fn want(&mut self) {
        let cover = self.wanted.borrow_and_update().clone().unwrap_or_default();
        let own = [CHANGED_TOPIC, CONTROL_TOPIC, SUBMITTED_TOPIC, BUS_HEALTH_TOPIC]
            .into_iter()
            .filter_map(|topic| Pattern::new(topic).ok());
        let uncovered: Vec<Pattern> =
            own.filter(|own| !cover.iter().any(|pattern| pattern.covers(own))).collect();
        self.wants_bus_health = uncovered.iter().all(|own| own.as_str() != BUS_HEALTH_TOPIC);
        self.source.set_patterns(cover.into_iter().chain(uncovered));
    }

    /// Makes events of messages and passes them on, waiting for room if there is none.
    async fn hand_over(&mut self, received: &mut Vec<Received>, room: &Arc<Semaphore>) {
        let now = clock::now();
        let mut events = Vec::with_capacity(received.len());
        let mut bytes = 0;
        for message in received.drain(..) {
            self.notice(&message);
            if self.is_meant_for_us(&message.topic) {
                continue;
            }
            self.stats.received.add(1);
            match Event::from_bus(&message.topic, &message.body, now, fresh_id) {
                Ok(event) => {
                    bytes += event.body.len();
                    events.push(event);
                }
                Err(error) => self.complain(&message, &error),
            }
        }
        if events.is_empty() {
            return;
        }
        // One frame alone may be larger than a share of the room, but never than all of it.
        let share = u32::try_from(bytes.min(MAX_INTAKE_BYTES)).unwrap_or(u32::MAX);
        let room = tokio::select! {
            room = Arc::clone(room).acquire_many_owned(share) => room.ok(),
            // The dispatcher gives no room back any more: it ends, and what the disk did not take is lost.
            () = self.batches.closed() => return abandon(events.len()),
        };
        // A dispatcher that is gone has said why; nothing is left to do with the batch.
        drop(self.batches.send(Batch { events, _room: room }));
    }

    /// Is it no event, and counted nowhere? Programs that submit events say so after each commit: were that one, there would
    /// be one more for each of theirs. The bus's heartbeat comes every few seconds, and is one for who asks for it.
    fn is_meant_for_us(&self, topic: &str) -> bool {
        topic == SUBMITTED_TOPIC || (topic == BUS_HEALTH_TOPIC && !self.wants_bus_health)
    }

    /// What is said to the worker itself. Most of it are events all the same, for whoever subscribes to them.
    fn notice(&self, message: &Received) {
        let signal = match message.topic.as_str() {
            CHANGED_TOPIC => Some(Signal::Reload),
            SUBMITTED_TOPIC => Some(Signal::Submitted),
            CONTROL_TOPIC => control(&message.body),
            BUS_HEALTH_TOPIC => {
                self.hear(&message.body);
                None
            }
            _ => None,
        };
        if let Some(signal) = signal
            && self.signals.send(signal).is_err()
        {
            tracing::debug!(?signal, "the dispatcher has stopped already");
        }
    }

    /// What the bus says of itself, if it is well said; else what it said before stands.
    fn hear(&self, heartbeat: &[u8]) {
        match Losses::of_heartbeat(heartbeat) {
            Ok(losses) => self.stats.bus_has_lost(losses),
            Err(error) => tracing::debug!(%error, "a heartbeat of the bus that is none; ignored"),
        }
    }

    fn complain(&self, message: &Received, error: &decnet_core::event::EventError) {
        self.stats.malformed.add(1);
        let count = self.stats.malformed.get();
        if count.is_power_of_two() {
            tracing::warn!(topic = %message.topic, %error, count, "a message on the bus is no event; left out");
        }
    }

    fn publish(&mut self, Publication { topic, kind, payload }: &Publication) {
        if let Err(error) = self.source.publish(topic, kind, payload) {
            tracing::debug!(%error, topic, "not told on the bus");
        }
    }

    /// Says on the bus that the worker lives, where there is a bus.
    fn beat(&mut self) {
        let degraded = match &*self.health.borrow() {
            Health::Ok => None,
            Health::Degraded { error, .. } => Some(error.clone()),
        };
        let payload = json!({
            "worker": WORKER,
            "ts": clock::now().as_seconds_f64(),
            "state": if degraded.is_some() { "degraded" } else { "ok" },
            "error": degraded,
            "subscriptions": self.stats.subscriptions.get(),
            "admitted": self.stats.admitted.get(),
            "delivered": self.stats.delivered.get(),
            "dead": self.stats.dead.get(),
            "in_flight": self.stats.in_flight.get(),
        });
        if let Err(error) = self.source.publish(HEALTH_TOPIC, HEALTH_TYPE, &payload) {
            tracing::debug!(%error, "no heartbeat this time");
        }
    }
}

fn abandon(events: usize) {
    tracing::error!(events, "read from the bus and lost: the queue took nothing more before the end");
}

/// What a control message asks for; anything but a well-formed stop is ignored.
fn control(body: &[u8]) -> Option<Signal> {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = &message["payload"];
    if payload["action"] == "stop" {
        let by = payload["requested_by"].as_str().unwrap_or("unknown");
        tracing::info!(requested_by = by, "asked to stop on the bus");
        return Some(Signal::Stop);
    }
    tracing::debug!("a control message that asks for nothing we know; ignored");
    None
}

/// Resolves when there is a cover, or nobody is left to say one.
async fn known(wanted: &mut watch::Receiver<Option<Vec<Pattern>>>) {
    drop(wanted.wait_for(Option::is_some).await);
}

fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_stop_stops() {
        assert_eq!(control(br#"{"payload":{"action":"stop","requested_by":"admin"}}"#), Some(Signal::Stop));
        for ignored in
            ["", "[]", "{}", r#"{"payload":"stop"}"#, r#"{"payload":{"action":"start"}}"#, "nonsense"]
        {
            assert_eq!(control(ignored.as_bytes()), None, "{ignored}");
        }
    }
}
