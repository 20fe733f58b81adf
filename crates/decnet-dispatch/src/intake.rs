//! From the bus to the dispatcher: drain the socket at once, on a thread of its own, and make events.
//!
//! A bus drops what a slow reader leaves unread, so nothing that the dispatcher does may hold up the reading.
//! What is read and not yet committed is bounded in bytes; beyond that the socket is left unread.
//!
//! A signal that the subscriptions have changed splits what is read: each [`Batch`] names the [`Mark`] of the last
//! change before it, and the dispatcher routes it only by subscriptions that were read after that.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use decnet_bus::{Applied, Losses, Received, Source, Step};
use decnet_core::event::Event;
use decnet_core::limits::MAX_INTAKE_BYTES;
use decnet_core::topic::Pattern;
use decnet_core::topic::own::{
    APPLIED_TOPIC, BUS_HEALTH_TOPIC, CHANGED_TOPIC, CONTROL_TOPIC, HEALTH_TOPIC, SUBMITTED_TOPIC,
};
use decnet_store::queue::Health;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::stats::Stats;

const HEALTH_TYPE: &str = "health";
const APPLIED_TYPE: &str = "applied";
const WORKER: &str = "webhook";
/// What a refusal means, for log and heartbeat.
const REFUSED: &str =
    "the bus gives this worker an ordinary queue, so events can be lost while it is busy or away";

/// A place in the stream from the bus: how many events were read before it, over all connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark(pub(crate) u64);

/// Events that one read brought, and the room they take until they are committed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    /// A place at or after the last signal of a change that precedes them.
    pub(crate) after: Mark,
    /// Given back when the batch is dropped.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

/// What the bus asks of the worker itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The subscriptions may have changed while nobody listened.
    Reload,
    /// The subscriptions have changed, and the signal was read before this place.
    Changed(Mark),
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

/// What the dispatcher wants of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Patterns that cover those of all subscriptions.
    pub(crate) cover: Vec<Pattern>,
    /// The cover includes every change whose signal was read before this place.
    pub(crate) applied: Mark,
}

/// The place of the intake in the stream from the bus.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// Events read so far.
    read: u64,
    /// Of those, the ones that were read on earlier connections.
    earlier: u64,
    /// Where the last change was.
    changed: Mark,
    /// Nothing was read on this connection yet.
    is_new: bool,
    /// The number that was reported to the bus last, on this connection.
    reported: u64,
}

/// The reading side of the worker.
pub(crate) struct Intake {
    pub(crate) source: Source,
    pub(crate) batches: mpsc::UnboundedSender<Batch>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    /// What to subscribe to; `None` until the subscriptions have been read.
    pub(crate) wanted: watch::Receiver<Option<Wanted>>,
    pub(crate) reading: Reading,
    pub(crate) heartbeat: Duration,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) clock: Clock,
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
                    Step::Notice => self.heed_notice(),
                    Step::Disconnected => self.lose(),
                },
                Ok(()) = self.wanted.changed() => self.want(),
                _ = heartbeat.tick() => self.beat(),
                Some(publication) = self.publications.recv() => self.publish(&publication),
                () = stop.cancelled() => break,
            }
        }
        self.source.close().await;
    }

    /// Reports to a bus that was just connected. A signal may have been missed before, also between the first load of the
    /// subscriptions and this.
    fn greet(&mut self) {
        self.stats.bus_is(true);
        self.reading.connected();
        self.beat();
        self.signal(Signal::Reload);
    }

    /// Records that the bus is away. A refusal ends with its connection.
    fn lose(&self) {
        self.stats.bus_is(false);
        self.stats.bus_refuses(None);
    }

    /// Records whether a bus of ours gives the worker the lossless queue that it asks for. DECNET's bus sends no notice: all
    /// its queues are ordinary.
    fn heed_notice(&mut self) {
        let Some(notice) = self.source.notice() else { return };
        let refused = notice.refused.clone();
        if self.stats.bus_refuses(refused.clone()) {
            match refused {
                Some(why) => tracing::warn!(%why, "{REFUSED}"),
                None => tracing::info!("the bus gives this worker a lossless queue"),
            }
            self.beat();
        }
    }

    /// Subscribes to the cover of all patterns, and to what concerns the worker itself; then reports which changes the
    /// cover includes.
    fn want(&mut self) {
        let Some(Wanted { cover, applied }) = self.wanted.borrow_and_update().clone() else { return };
        let own = [CHANGED_TOPIC, CONTROL_TOPIC, SUBMITTED_TOPIC, BUS_HEALTH_TOPIC]
            .into_iter()
            .filter_map(|topic| Pattern::new(topic).ok());
        let uncovered: Vec<Pattern> =
            own.filter(|own| !cover.iter().any(|pattern| pattern.covers(own))).collect();
        self.wants_bus_health = uncovered.iter().all(|own| own.as_str() != BUS_HEALTH_TOPIC);
        // To this one also where a pattern covers it: it is how a bus of ours knows that reports come.
        let reporting = Pattern::new(APPLIED_TOPIC).ok();
        self.source.set_patterns(cover.into_iter().chain(uncovered).chain(reporting));
        if let Some(report) = self.reading.report(applied) {
            self.publish(&Publication { topic: APPLIED_TOPIC, kind: APPLIED_TYPE, payload: json!(report) });
        }
    }

    /// Makes events of messages and passes them on, waiting for room if there is none.
    ///
    /// Everything behind the first change in one read waits for a reload that begins after all of the read; so the
    /// changes in one read cost one reload.
    async fn hand_over(&mut self, received: &mut Vec<Received>, room: &Arc<Semaphore>) {
        let now = self.clock.wall();
        let mut events = Vec::with_capacity(received.len());
        let mut bytes = 0;
        let mut before_change = self.reading.take(received.len()).then(|| (Vec::new(), 0));
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
            if message.topic == CHANGED_TOPIC && before_change.is_none() {
                before_change = Some((std::mem::take(&mut events), std::mem::take(&mut bytes)));
            }
        }
        if let Some((earlier, earlier_bytes)) = before_change {
            let changed = Mark(self.reading.read);
            self.signal(Signal::Changed(changed));
            self.pass_on(earlier, earlier_bytes, room).await;
            self.reading.changed = changed;
        }
        self.pass_on(events, bytes, room).await;
    }

    /// Passes events on, waiting for room if there is none.
    async fn pass_on(&self, events: Vec<Event>, bytes: usize, room: &Arc<Semaphore>) {
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
        drop(self.batches.send(Batch { events, after: self.reading.changed, _room: room }));
    }

    /// Is it no event, and counted nowhere? Programs that submit events say so after each commit: were that one, there would
    /// be one more for each of theirs. Another worker's reports are for the bus. The bus's heartbeat comes every few
    /// seconds, and is one for who asks for it.
    fn is_meant_for_us(&self, topic: &str) -> bool {
        topic == SUBMITTED_TOPIC
            || topic == APPLIED_TOPIC
            || (topic == BUS_HEALTH_TOPIC && !self.wants_bus_health)
    }

    /// Acts on a message to the worker itself; [`Self::hand_over`] does on a change. Most of them are events all the
    /// same, for whoever subscribes to them.
    fn notice(&self, message: &Received) {
        let signal = match message.topic.as_str() {
            SUBMITTED_TOPIC => Some(Signal::Submitted),
            CONTROL_TOPIC => control(&message.body),
            BUS_HEALTH_TOPIC => {
                self.hear(&message.body);
                None
            }
            _ => None,
        };
        signal.into_iter().for_each(|signal| self.signal(signal));
    }

    fn signal(&self, signal: Signal) {
        if self.signals.send(signal).is_err() {
            tracing::debug!(?signal, "the dispatcher has stopped already");
        }
    }

    /// Takes over what a bus of ours has lost, from its heartbeat; a malformed one changes nothing. At any other bus anybody
    /// can publish a heartbeat, so none is believed there.
    fn hear(&self, heartbeat: &[u8]) {
        if self.source.notice().is_none() {
            return self.stats.bus_has_lost(None);
        }
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
        let refused = self.stats.bus_refusal();
        if refused.is_some() {
            // A place may have become free.
            self.source.greet_again();
        }
        let degraded = match &*self.health.borrow() {
            Health::Ok => refused.map(|(why, _)| format!("{REFUSED}: {why}")),
            Health::Degraded { error, .. } => Some(error.clone()),
        };
        let payload = json!({
            "worker": WORKER,
            "ts": self.clock.wall().as_seconds_f64(),
            "state": if degraded.is_some() { "degraded" } else { "ok" },
            "error": degraded,
            "clock_in_doubt": self.clock.doubt().is_some(),
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

impl Reading {
    fn connected(&mut self) {
        (self.earlier, self.is_new, self.reported) = (self.read, true, 0);
    }

    /// Counts messages. Returns whether they are the first of a connection: a signal may have been missed before, so they
    /// count as if they followed one.
    fn take(&mut self, messages: usize) -> bool {
        self.read += messages as u64;
        std::mem::take(&mut self.is_new)
    }

    /// What to report of the changes before `applied`; `None` if that was reported, or is not about this connection.
    fn report(&mut self, applied: Mark) -> Option<Applied> {
        let received = applied.0.saturating_sub(self.earlier);
        let is_news = received > self.reported;
        self.reported = self.reported.max(received);
        is_news.then_some(Applied { received })
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
async fn known(wanted: &mut watch::Receiver<Option<Wanted>>) {
    drop(wanted.wait_for(Option::is_some).await);
}

fn fresh_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_reported_once_and_only_on_its_own_connection() {
        let mut reading = Reading::default();
        reading.connected();
        assert_eq!((reading.take(3), reading.take(2)), (true, false));
        assert_eq!(reading.report(Mark(3)), Some(Applied { received: 3 }));
        assert_eq!(reading.report(Mark(3)), None);
        assert_eq!(reading.report(Mark(5)), Some(Applied { received: 5 }));
        reading.connected();
        assert_eq!(reading.report(Mark(5)), None, "that was another connection");
        assert!(reading.take(1));
        assert_eq!(reading.report(Mark(6)), Some(Applied { received: 1 }));
    }

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
