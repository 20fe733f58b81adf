//! The intake: reads messages from the bus on a thread of its own and passes events to the dispatcher.
//!
//! A bus drops messages that a slow reader leaves unread, so the dispatcher must never delay the reading. The total size of
//! events that are read and not yet committed is bounded; at the bound the socket is left unread.
//!
//! A signal that the subscriptions have changed splits the stream: each [`IncomingBatch`] carries the [`BusOffset`] of the
//! last change before it, and the dispatcher routes it only by subscriptions that were loaded after that change.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use decnet_bus::{Applied, Losses, Received, Source, Step};
use decnet_core::event::Event;
use decnet_core::limits::MAX_INTAKE_BYTES;
use decnet_core::topic::Pattern;
use decnet_core::topic::system_topics::{
    APPLIED_TOPIC, BUS_HEALTH_TOPIC, CHANGED_TOPIC, CONTROL_TOPIC, HEALTH_TOPIC, SUBMITTED_TOPIC,
};
use decnet_runtime::clock::Clock;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_store::queue::Health;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::stats::Stats;

const HEALTH_TYPE: &str = "health";
const APPLIED_TYPE: &str = "applied";
const WORKER: &str = "webhook";
/// The consequence of a refused lossless queue, for log and heartbeat.
const ORDINARY_QUEUE: &str =
    "the bus refused a lossless queue, so events can be lost while this worker is busy or disconnected";

/// A position in the stream from the bus: the number of messages read before it, across all connections since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BusOffset(pub(crate) u64);

/// The events of one read, and their share of the intake's bytes until they are committed.
#[derive(Debug)]
pub(crate) struct IncomingBatch {
    pub(crate) events: Vec<Event>,
    /// An offset at or after the last change signal that precedes the events.
    pub(crate) after: BusOffset,
    /// The permit for the bytes, released when the batch is dropped.
    pub(crate) _permit: Option<OwnedSemaphorePermit>,
}

/// A request from the bus to the worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// A request to reload the subscriptions, because a signal may have been missed.
    Reload,
    /// A request to reload the subscriptions, because a change was signalled before this offset.
    Changed(BusOffset),
    /// Events were submitted to the queue.
    Submitted,
    /// A request to stop, as with SIGTERM.
    Stop,
}

/// A message from the worker to the bus.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) topic: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
}

/// The patterns that the dispatcher needs from the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BusCover {
    /// Patterns that cover the patterns of all subscriptions.
    pub(crate) patterns: Vec<Pattern>,
    /// The offset up to which the patterns include all signalled changes.
    pub(crate) applied: BusOffset,
}

/// The position of the intake in the stream from the bus.
#[derive(Debug, Default)]
pub(crate) struct OffsetTracker {
    /// The number of messages read.
    read: u64,
    /// The number of messages read on earlier connections.
    read_before_connection: u64,
    /// The offset of the last change.
    changed: BusOffset,
    /// Whether nothing was read on this connection yet.
    is_new: bool,
    /// The number that was last reported to the bus on this connection.
    reported: u64,
}

/// The reading side of the worker.
pub(crate) struct Intake {
    pub(crate) source: Source,
    pub(crate) batches: mpsc::UnboundedSender<IncomingBatch>,
    pub(crate) signals: mpsc::UnboundedSender<Signal>,
    /// The patterns to subscribe to; `None` until the subscriptions have been loaded.
    pub(crate) cover: watch::Receiver<Option<BusCover>>,
    pub(crate) offsets: OffsetTracker,
    pub(crate) heartbeat: Duration,
    pub(crate) health: watch::Receiver<Health>,
    pub(crate) clock: Clock,
    pub(crate) stats: Arc<Stats>,
    pub(crate) malformed_log: LogThrottle,
    pub(crate) publications: mpsc::Receiver<Publication>,
    /// Whether the patterns of the subscriptions cover the bus's heartbeats.
    pub(crate) covers_bus_health: bool,
}

impl Intake {
    /// Starts the thread. It ends with `stop`.
    ///
    /// # Errors
    /// The runtime or the thread could not be started.
    pub(crate) fn spawn(self, stop: CancellationToken) -> std::io::Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("intake".into());
        thread.spawn(move || runtime.block_on(self.run(stop)))
    }

    async fn run(mut self, stop: CancellationToken) {
        let budget = Arc::new(Semaphore::new(MAX_INTAKE_BYTES));
        let mut heartbeat = interval(self.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut received = Vec::new();
        // Waits for the first cover: connecting earlier would miss events.
        tokio::select! {
            _ready_or_closed = self.cover.wait_for(Option::is_some) => {}
            () = stop.cancelled() => return,
        }
        self.subscribe();
        loop {
            tokio::select! {
                step = self.source.next(&mut received) => match step {
                    Step::Connected => self.connected(),
                    Step::Messages => self.receive(&mut received, &budget).await,
                    Step::Notice => self.handle_notice(),
                    Step::Disconnected => self.disconnected(),
                },
                Ok(()) = self.cover.changed() => self.subscribe(),
                _ = heartbeat.tick() => self.publish_heartbeat(),
                Some(publication) = self.publications.recv() => self.publish(&publication),
                () = stop.cancelled() => break,
            }
        }
        self.source.close().await;
    }

    /// Reports to a bus that was just connected, and requests a reload: a signal may have been missed before, even between
    /// the first load of the subscriptions and the first connection.
    fn connected(&mut self) {
        self.stats.set_bus_connected(true);
        self.offsets.connected();
        self.publish_heartbeat();
        self.signal(Signal::Reload);
    }

    /// Records that the bus is disconnected, and forgets a refusal of the lossless queue, which applied to that connection
    /// only.
    fn disconnected(&self) {
        self.stats.set_bus_connected(false);
        self.stats.set_bus_refusal(None);
    }

    /// Records whether this project's bus grants the lossless queue that the worker requests. DECNET's bus sends no notice:
    /// all its queues are ordinary.
    fn handle_notice(&mut self) {
        let Some(notice) = self.source.notice() else { return };
        let refused = notice.refused.clone();
        if self.stats.set_bus_refusal(refused.clone()) {
            match refused {
                Some(why) => tracing::warn!(%why, "{ORDINARY_QUEUE}"),
                None => tracing::info!("the bus granted this worker a lossless queue"),
            }
            self.publish_heartbeat();
        }
    }

    /// Subscribes to the cover and to the topics of the worker itself, then reports which changes the cover includes.
    fn subscribe(&mut self) {
        let Some(BusCover { patterns: cover, applied }) = self.cover.borrow_and_update().clone() else {
            return;
        };
        let own = [CHANGED_TOPIC, CONTROL_TOPIC, SUBMITTED_TOPIC, BUS_HEALTH_TOPIC]
            .into_iter()
            .filter_map(|topic| Pattern::new(topic).ok());
        let uncovered: Vec<Pattern> =
            own.filter(|own| !cover.iter().any(|pattern| pattern.covers(own))).collect();
        self.covers_bus_health = uncovered.iter().all(|own| own.as_str() != BUS_HEALTH_TOPIC);
        // Subscribed even if covered: by this pattern, this project's bus recognizes a worker that sends reports.
        let reporting = Pattern::new(APPLIED_TOPIC).ok();
        self.source.set_patterns(cover.into_iter().chain(uncovered).chain(reporting));
        if let Some(report) = self.offsets.report(applied) {
            self.publish(&Publication { topic: APPLIED_TOPIC, kind: APPLIED_TYPE, payload: json!(report) });
        }
    }

    /// Parses messages into events and sends them to the dispatcher, in two batches if the messages contain a change.
    ///
    /// Everything after the first change in one read waits for a reload that begins after the whole read, so that all
    /// changes in one read cost one reload.
    async fn receive(&mut self, received: &mut Vec<Received>, budget: &Arc<Semaphore>) {
        let now = self.clock.wall();
        let mut events = Vec::with_capacity(received.len());
        let mut bytes = 0;
        let mut before_change = self.offsets.advance(received.len()).then(|| (Vec::new(), 0));
        for message in received.drain(..) {
            self.handle_control(&message);
            if self.is_internal(&message.topic) {
                continue;
            }
            self.stats.received.add(1);
            match Event::from_bus(&message.topic, &message.body, now, || uuid::Uuid::new_v4().to_string()) {
                Ok(event) => {
                    bytes += event.body.len();
                    events.push(event);
                }
                Err(error) => self.count_malformed(&message, &error),
            }
            if message.topic == CHANGED_TOPIC && before_change.is_none() {
                before_change = Some((std::mem::take(&mut events), std::mem::take(&mut bytes)));
            }
        }
        if let Some((earlier, earlier_bytes)) = before_change {
            let changed = BusOffset(self.offsets.read);
            self.signal(Signal::Changed(changed));
            self.send_batch(earlier, earlier_bytes, budget).await;
            self.offsets.changed = changed;
        }
        self.send_batch(events, bytes, budget).await;
    }

    /// Sends events to the dispatcher, once the budget has room for their bytes.
    async fn send_batch(&self, events: Vec<Event>, bytes: usize, budget: &Arc<Semaphore>) {
        if events.is_empty() {
            return;
        }
        // One frame may be larger than its share of the budget, but not than the whole budget.
        let share = u32::try_from(bytes.min(MAX_INTAKE_BYTES)).unwrap_or(u32::MAX);
        let permit = tokio::select! {
            permit = Arc::clone(budget).acquire_many_owned(share) => permit.ok(),
            // The dispatcher has ended and releases no permits; these events were never committed.
            () = self.batches.closed() => {
                let events = events.len();
                let lost = "events read from the bus were lost: the queue did not accept them before the worker stopped";
                return tracing::error!(events, "{lost}");
            }
        };
        // A dispatcher that has ended has reported the reason.
        drop(self.batches.send(IncomingBatch { events, after: self.offsets.changed, _permit: permit }));
    }

    /// Returns whether messages of a topic are only for workers or the bus, and so neither admitted nor counted. Programs
    /// publish a submission notice after each commit, so admitting it would double their events. Reports of other workers
    /// are for the bus. The heartbeat of the bus, which is sent every few seconds, is an event only for subscriptions that match
    /// it.
    fn is_internal(&self, topic: &str) -> bool {
        topic == SUBMITTED_TOPIC
            || topic == APPLIED_TOPIC
            || (topic == BUS_HEALTH_TOPIC && !self.covers_bus_health)
    }

    /// Handles a message to the worker itself, except a change: see [`Self::receive`]. Most of these messages are also
    /// admitted as events.
    fn handle_control(&self, message: &Received) {
        match &*message.topic {
            SUBMITTED_TOPIC => self.signal(Signal::Submitted),
            CONTROL_TOPIC => control(&message.body).into_iter().for_each(|signal| self.signal(signal)),
            BUS_HEALTH_TOPIC => self.record_bus_losses(&message.body),
            _ => {}
        }
    }

    fn signal(&self, signal: Signal) {
        if self.signals.send(signal).is_err() {
            tracing::debug!(?signal, "the dispatcher has already stopped");
        }
    }

    /// Records the losses in the heartbeat of this project's bus; a malformed heartbeat changes nothing. On any other bus
    /// anyone can publish a heartbeat, so it is not trusted there.
    fn record_bus_losses(&self, heartbeat: &[u8]) {
        if self.source.notice().is_none() {
            return self.stats.set_bus_losses(None);
        }
        match Losses::of_heartbeat(heartbeat) {
            Ok(losses) => self.stats.set_bus_losses(losses),
            Err(error) => tracing::debug!(%error, "ignoring a malformed heartbeat of the bus"),
        }
    }

    fn count_malformed(&mut self, message: &Received, error: &decnet_core::event::EventError) {
        self.stats.malformed.add(1);
        if let Some(times) = self.malformed_log.record(Instant::now()) {
            tracing::warn!(topic = %message.topic, %error, times, "ignoring a message on the bus that is not an event");
        }
    }

    fn publish(&mut self, Publication { topic, kind, payload }: &Publication) {
        if let Err(error) = self.source.publish(topic, kind, payload) {
            tracing::debug!(%error, topic, "failed to publish on the bus");
        }
    }

    /// Publishes the worker's heartbeat, if there is a connection.
    fn publish_heartbeat(&mut self) {
        let refused = self.stats.bus_refusal();
        if refused.is_some() {
            // Another worker may have left meanwhile.
            self.source.greet_again();
        }
        let degraded = match &*self.health.borrow() {
            Health::Ok => refused.map(|(why, _)| format!("{ORDINARY_QUEUE}: {why}")),
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
        self.publish(&Publication { topic: HEALTH_TOPIC, kind: HEALTH_TYPE, payload });
    }
}

impl OffsetTracker {
    fn connected(&mut self) {
        (self.read_before_connection, self.is_new, self.reported) = (self.read, true, 0);
    }

    /// Counts messages. Returns whether they are the first of a connection: a signal may have been missed before, so they
    /// are treated as if they followed one.
    fn advance(&mut self, messages: usize) -> bool {
        self.read += messages as u64;
        std::mem::take(&mut self.is_new)
    }

    /// Returns the report that all changes before `applied` are included, or `None` if that was reported already or concerns
    /// an earlier connection.
    fn report(&mut self, applied: BusOffset) -> Option<Applied> {
        let received = applied.0.saturating_sub(self.read_before_connection);
        let is_new = received > self.reported;
        self.reported = self.reported.max(received);
        is_new.then_some(Applied { received })
    }
}

/// Returns the signal of a control message; anything but a well-formed stop is ignored.
fn control(body: &[u8]) -> Option<Signal> {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let payload = &message["payload"];
    if payload["action"] == "stop" {
        let by = payload["requested_by"].as_str().unwrap_or("unknown");
        tracing::info!(requested_by = by, "a stop was requested on the bus");
        return Some(Signal::Stop);
    }
    tracing::debug!("ignoring a control message with an unknown action");
    None
}

#[cfg(test)]
mod tests {
    use decnet_bus::Topic;

    use super::*;

    /// Returns an intake that is not connected.
    fn intake() -> Intake {
        Intake {
            source: Source::new("/nowhere/bus.sock", "test"),
            batches: mpsc::unbounded_channel().0,
            signals: mpsc::unbounded_channel().0,
            cover: watch::channel(None).1,
            offsets: OffsetTracker::default(),
            heartbeat: Duration::MAX,
            health: watch::channel(Health::Ok).1,
            clock: Clock::default(),
            stats: Arc::default(),
            malformed_log: LogThrottle::default(),
            publications: mpsc::channel(1).1,
            covers_bus_health: false,
        }
    }

    #[test]
    fn malformed_messages_are_logged_once_and_counted() {
        let mut intake = intake();
        let error = Event::from_bus("a", b"[]", intake.clock.wall(), String::new).unwrap_err();
        let message = Received { topic: Topic::new("a".into()).unwrap(), body: "[]".into() };
        (0..100).for_each(|_| intake.count_malformed(&message, &error));
        assert_eq!((intake.stats.malformed.get(), intake.malformed_log.take_pending()), (100, Some(99)));
    }

    #[test]
    fn change_is_reported_once_and_only_on_its_own_connection() {
        let mut offsets = OffsetTracker::default();
        offsets.connected();
        assert_eq!((offsets.advance(3), offsets.advance(2)), (true, false));
        assert_eq!(offsets.report(BusOffset(3)), Some(Applied { received: 3 }));
        assert_eq!(offsets.report(BusOffset(3)), None);
        assert_eq!(offsets.report(BusOffset(5)), Some(Applied { received: 5 }));
        offsets.connected();
        assert_eq!(offsets.report(BusOffset(5)), None, "it was read on another connection");
        assert!(offsets.advance(1));
        assert_eq!(offsets.report(BusOffset(6)), Some(Applied { received: 1 }));
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
