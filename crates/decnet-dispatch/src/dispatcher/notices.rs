//! Operational events about deliveries: events like any other, on the bus and to the subscriptions that match them.
//!
//! The bus does not return a client's own events, so these are routed here, and work without a bus. No operational event is
//! about the delivery of operational events, and none is sent to the subscription that it is about. Operational events are
//! marked ([`Event::operational`]); an event that another program publishes on the same topic is not marked.

use std::time::Instant;

use decnet_core::delivery::{Reason, Verdict};
use decnet_core::event::Event;
use decnet_core::limits::MAX_OPERATIONAL_EVENTS_PER_MINUTE;
use decnet_core::time::BootMicros;
use decnet_core::topic::system_topics::{BACKLOG_TOPIC, DEAD_TOPIC, RECOVERED_TOPIC, TRIPPED_TOPIC};
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Dispatcher;
use super::admission::Provenance;
use crate::intake::Publication;
use crate::lane::Lane;
use crate::lane_state::LaneState;
use crate::notice_throttle::{BacklogLevel, DeadLetterSummary, NoticeThrottle};

/// The operational events of this turn, and the rate limit.
#[derive(Debug)]
pub(super) struct Notices {
    /// The subscription, the topic and the payload of each event that is not yet sent.
    unsent: Vec<(SubscriptionKey, &'static str, Value)>,
    /// Lanes with delayed dead letters.
    delayed: FxHashSet<SubscriptionKey>,
    /// The current minute of the boot clock, and the number of events in it.
    minute: (i64, u32),
    bus: mpsc::Sender<Publication>,
}

impl Notices {
    pub(super) fn new(bus: mpsc::Sender<Publication>) -> Self {
        Self { unsent: Vec::new(), delayed: FxHashSet::default(), minute: (0, 0), bus }
    }

    /// Reports the lane's backlog if it has reached another level.
    pub(super) fn record_backlog(&mut self, lane: &mut Lane, threshold: u64) {
        let waiting = lane.metrics.waiting();
        if let Some(level) = lane.notice_throttle.record_backlog(waiting, threshold) {
            self.unsent.push((lane.key, BACKLOG_TOPIC, backlog_payload(lane, level, waiting, threshold)));
        }
    }

    /// Counts an event. Returns whether the rate limit admits it.
    fn admits(&mut self, now: BootMicros) -> bool {
        let minute = now.0 / 60_000_000;
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        self.minute.1 <= MAX_OPERATIONAL_EVENTS_PER_MINUTE
    }
}

impl Dispatcher {
    /// Admits and publishes the operational events of this turn.
    pub(super) fn emit_notices(&mut self) {
        for (about, topic, payload) in std::mem::take(&mut self.notices.unsent) {
            if !self.notices.admits(self.clock.uptime()) {
                self.stats.suppressed_operational_events.add(1);
                continue;
            }
            let kind = topic.rsplit('.').next().unwrap_or_default();
            let id = uuid::Uuid::new_v4().simple().to_string();
            match Event::new(&id, topic, kind, self.clock.wall(), &payload.to_string()) {
                Ok(event) => {
                    self.stats.operational_events.add(1);
                    let event = Event { operational: true, ..event };
                    self.admit_from([(None, event)].into_iter(), &Provenance::Own { about });
                }
                Err(error) => tracing::error!(%error, topic, "dropped an invalid operational event"),
            }
            // Without a bus, the channel has no receiver. If the channel is full, the bus misses this event.
            drop(self.notices.bus.try_send(Publication { topic, kind, payload }));
        }
    }

    pub(super) fn emit_tripped(&mut self, key: SubscriptionKey, verdict: &Verdict, error: &str) {
        let lane = &self.lanes[key];
        if lane.notice_throttle.is_trip_silent {
            return;
        }
        let next_probe_at = match lane.state {
            LaneState::Tripped { next_at, .. } => Some(self.clock.wall_at(next_at).to_iso8601()),
            _ => None,
        };
        let payload = json!({
            "subscription": subscription(lane),
            "reason": verdict.reason().map(Reason::as_str),
            "error": error,
            "gone": *verdict == Verdict::Gone,
            "failures": lane.health.consecutive_failures(),
            "waiting": lane.metrics.waiting(),
            "tripped_at": self.clock.wall().to_iso8601(),
            "next_probe_at": next_probe_at,
        });
        self.notices.unsent.push((key, TRIPPED_TOPIC, payload));
    }

    pub(super) fn emit_recovered(&mut self, key: SubscriptionKey) {
        let lane = &mut self.lanes[key];
        if std::mem::take(&mut lane.notice_throttle.is_trip_silent) {
            return;
        }
        let payload = json!({
            "subscription": subscription(lane),
            "waiting": lane.metrics.waiting(),
            "recovered_at": self.clock.wall().to_iso8601(),
        });
        self.notices.unsent.push((key, RECOVERED_TOPIC, payload));
    }

    /// Reports a dead letter that is committed, or delays it.
    pub(super) fn emit_dead(&mut self, key: SubscriptionKey, dead: DeadLetterSummary) {
        let due = self.lanes[key].notice_throttle.record_dead(dead, Instant::now());
        self.emit_or_delay(key, due);
    }

    /// Reports the delayed dead letters that are due.
    pub(super) fn emit_due_dead(&mut self) {
        let now = Instant::now();
        self.emit_delayed(|throttle| throttle.take_due(now));
    }

    /// Reports all delayed dead letters at the shutdown, since they are in memory only. The bus may already be
    /// disconnected, but subscriptions receive the reports.
    pub(super) fn emit_remaining(&mut self) {
        self.emit_delayed(NoticeThrottle::take_delayed);
        self.emit_notices();
    }

    /// Reports the delayed dead letters that `take` returns.
    fn emit_delayed(&mut self, take: impl Fn(&mut NoticeThrottle) -> Option<DeadLetterSummary>) {
        for key in std::mem::take(&mut self.notices.delayed) {
            // The dead letters of a deleted subscription are dropped with its lane.
            if let Some(lane) = self.lanes.get_mut(&key) {
                let taken = take(&mut lane.notice_throttle);
                self.emit_or_delay(key, taken);
            }
        }
    }

    fn emit_or_delay(&mut self, key: SubscriptionKey, due: Option<DeadLetterSummary>) {
        let lane = &self.lanes[key];
        if lane.notice_throttle.has_delayed() {
            self.notices.delayed.insert(key);
        }
        let Some(dead) = due else { return };
        let payload = json!({
            "subscription": subscription(lane),
            "count": dead.count,
            "reason": dead.reason.as_str(),
            "event": { "id": dead.event_id, "topic": dead.topic },
            "dead_at": self.clock.wall().to_iso8601(),
        });
        self.notices.unsent.push((key, DEAD_TOPIC, payload));
    }
}

fn backlog_payload(lane: &Lane, level: BacklogLevel, waiting: u64, threshold: u64) -> Value {
    json!({
        "subscription": subscription(lane),
        "level": level,
        "waiting": waiting,
        "threshold": threshold,
        "state": lane.state.reported(&lane.stored).as_str(),
        "at": lane.clock.wall().to_iso8601(),
    })
}

/// Returns the subscription that an event is about, without the URL, which may contain a secret.
fn subscription(lane: &Lane) -> Value {
    json!({ "uuid": lane.stored.subscription.uuid, "name": lane.name() })
}
