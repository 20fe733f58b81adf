//! What the worker tells of its deliveries: events like any other, on the bus and to whoever subscribes to them.
//!
//! The bus gives nobody his own events back, so they are routed here, and work without a bus. None is about itself:
//! where such an event is given up or trips a subscription nothing is told, and none is sent its own trouble. Which events
//! are the worker's own is recorded with each ([`Event::operational`]); an event that others published on the same topic is
//! an event like any other.

use std::time::Instant;

use decnet_core::delivery::{Reason, Verdict, classify};
use decnet_core::event::Event;
use decnet_core::limits::MAX_OWN_EVENTS_PER_MINUTE;
use decnet_core::time::BootMicros;
use decnet_core::topic::own::{BACKLOG_TOPIC, DEAD_TOPIC, RECOVERED_TOPIC, TRIPPED_TOPIC};
use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashSet;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Dispatcher;
use super::admission::Provenance;
use crate::intake::Publication;
use crate::lane::Lane;
use crate::sender::Attempted;
use crate::status::Status;
use crate::told::{Deaths, Level};

/// What is to be told, and how much has been.
#[derive(Debug)]
pub(super) struct Telling {
    unsent: Vec<(SubscriptionKey, &'static str, Value)>,
    /// Lanes that keep deaths back.
    keepers: FxHashSet<SubscriptionKey>,
    /// The minute, and the events in it.
    minute: (i64, u32),
    bus: mpsc::Sender<Publication>,
}

impl Telling {
    pub(super) fn new(bus: mpsc::Sender<Publication>) -> Self {
        Self { unsent: Vec::new(), keepers: FxHashSet::default(), minute: (0, 0), bus }
    }

    /// More waits for a lane than before.
    pub(super) fn admitted(&mut self, lane: &mut Lane, threshold: u64) {
        let waiting = lane.tally.waiting();
        if let Some(level) = lane.told.waits(waiting, threshold) {
            self.unsent.push((lane.key, BACKLOG_TOPIC, backlog(lane, level, waiting, threshold)));
        }
    }

    /// May one more be told in this minute?
    fn admits(&mut self, now: BootMicros) -> bool {
        let minute = now.0 / 60_000_000;
        if self.minute.0 != minute {
            self.minute = (minute, 0);
        }
        self.minute.1 += 1;
        self.minute.1 <= MAX_OWN_EVENTS_PER_MINUTE
    }
}

impl Dispatcher {
    /// Admits and publishes what there is to tell.
    pub(super) fn tell(&mut self) {
        for (about, topic, payload) in std::mem::take(&mut self.telling.unsent) {
            if !self.telling.admits(self.clock.uptime()) {
                self.stats.own_events_left_out.add(1);
                continue;
            }
            let kind = topic.rsplit('.').next().unwrap_or_default();
            let id = uuid::Uuid::new_v4().simple().to_string();
            match Event::new(&id, topic, kind, self.clock.wall(), &payload.to_string()) {
                Ok(event) => {
                    self.stats.own_events.add(1);
                    let event = Event { operational: true, ..event };
                    self.admit_from([(None, event)].into_iter(), &Provenance::Own { about });
                }
                Err(error) => tracing::error!(%error, topic, "an event of our own is none"),
            }
            // Without a bus there is nobody to take it, and one that does not read misses it as it misses others.
            drop(self.telling.bus.try_send(Publication { topic, kind, payload }));
        }
    }

    pub(super) fn tell_tripped(&mut self, key: SubscriptionKey, attempted: &Attempted, error: &str) {
        let Some(lane) = self.lanes.get(&key).filter(|lane| !lane.told.keeps_trip) else { return };
        let next_probe_at = match lane.status {
            Status::Tripped { next_at, .. } => Some(self.clock.wall_at(next_at).to_iso8601()),
            _ => None,
        };
        let verdict = classify(&attempted.outcome);
        let payload = json!({
            "subscription": subscription(lane),
            "reason": verdict.reason().map(Reason::as_str),
            "error": error,
            "gone": matches!(verdict, Verdict::Park(_)),
            "failures": lane.health.consecutive_failures(),
            "waiting": lane.tally.waiting(),
            "tripped_at": self.clock.wall().to_iso8601(),
            "next_probe_at": next_probe_at,
        });
        self.telling.unsent.push((key, TRIPPED_TOPIC, payload));
    }

    pub(super) fn tell_recovered(&mut self, key: SubscriptionKey) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if std::mem::take(&mut lane.told.keeps_trip) {
            return;
        }
        let payload = json!({
            "subscription": subscription(lane),
            "waiting": lane.tally.waiting(),
            "recovered_at": self.clock.wall().to_iso8601(),
        });
        self.telling.unsent.push((key, RECOVERED_TOPIC, payload));
    }

    /// A delivery was given up, and that is committed.
    pub(super) fn tell_dead(&mut self, key: SubscriptionKey, death: Deaths) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let deaths = lane.told.died(death, Instant::now());
        if lane.told.keeps_deaths() {
            self.telling.keepers.insert(key);
        }
        self.push_deaths(key, deaths);
    }

    /// Once a second: what was kept back for a minute.
    pub(super) fn tell_kept_back(&mut self) {
        let now = Instant::now();
        for key in std::mem::take(&mut self.telling.keepers) {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            let deaths = lane.told.due(now);
            if lane.told.keeps_deaths() {
                self.telling.keepers.insert(key);
            }
            self.push_deaths(key, deaths);
        }
    }

    /// At the end: what is kept back, since nobody remembers it. The bus may be left already; subscriptions get it.
    pub(super) fn tell_rest(&mut self) {
        for key in std::mem::take(&mut self.telling.keepers) {
            let deaths = self.lanes.get_mut(&key).and_then(|lane| lane.told.rest());
            self.push_deaths(key, deaths);
        }
        self.tell();
    }

    fn push_deaths(&mut self, key: SubscriptionKey, deaths: Option<Deaths>) {
        let (Some(deaths), Some(lane)) = (deaths, self.lanes.get(&key)) else { return };
        let payload = json!({
            "subscription": subscription(lane),
            "count": deaths.count,
            "reason": deaths.reason.as_str(),
            "event": { "id": deaths.event_id, "topic": deaths.topic },
            "dead_at": self.clock.wall().to_iso8601(),
        });
        self.telling.unsent.push((key, DEAD_TOPIC, payload));
    }
}

fn backlog(lane: &Lane, level: Level, waiting: u64, threshold: u64) -> Value {
    json!({
        "subscription": subscription(lane),
        "level": level.as_str(),
        "waiting": waiting,
        "threshold": threshold,
        "state": lane.status.standing(lane.stored.paused).as_str(),
        "at": lane.clock.wall().to_iso8601(),
    })
}

/// Whom it is about. The URL is none of it: it may hold what its receiver keeps secret.
fn subscription(lane: &Lane) -> Value {
    json!({ "uuid": lane.stored.subscription.uuid, "name": lane.name() })
}
