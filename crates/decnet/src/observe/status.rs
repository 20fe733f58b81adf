//! What `decnet status` shows, as JSON: the same numbers as the metrics, put together for people.

use std::time::Duration;

use decnet_bus::Losses;
use decnet_core::delivery::Reason;
use decnet_dispatch::{Figures, Standing};
use serde::{Deserialize, Serialize};

use super::metrics::{age, seconds_of as seconds};
use super::process;
use super::worker::Seen;

pub(super) const CONTENT_TYPE: &str = "application/json";

/// A worker's status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// The program's version.
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// Seconds since 1970.
    pub(crate) at: f64,
    pub(crate) uptime_seconds: f64,
    /// How often its loop has turned: at least once a second, while it works.
    pub(crate) turns: u64,
    /// Why the queue cannot be written, if it cannot.
    pub(crate) degraded: Option<Degraded>,
    /// How far the system clock is ahead of the expected time, negative if it is behind, where it is not trusted.
    #[serde(default)]
    pub(crate) clock_ahead_seconds: Option<f64>,
    pub(crate) bus: Bus,
    /// Why the bus gives the worker an ordinary queue and not a lossless one, if it does.
    pub(crate) bus_degraded: Option<Degraded>,
    /// What the bus has lost since it started, if it says so.
    pub(crate) bus_losses: Option<Losses>,
    pub(crate) queue: Queue,
    pub(crate) totals: Totals,
    /// Has what earlier workers left been counted yet?
    pub(crate) counted: bool,
    /// Each subscription with figures of its own.
    pub(crate) subscriptions: Vec<Subscription>,
    /// All others together, if there are any.
    pub(crate) others: Option<Subscription>,
    /// How many those are.
    pub(crate) others_count: u64,
    /// Rows that cannot be used.
    pub(crate) bad_rows: u64,
}

/// Why something does not work as it should, and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Degraded {
    pub(crate) error: String,
    pub(crate) seconds: f64,
}

/// The bus.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bus {
    /// There is to be none.
    #[default]
    None,
    Connected,
    Away,
}

/// The queue and its disk, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Queue {
    pub(crate) file_bytes: u64,
    pub(crate) log_bytes: u64,
    pub(crate) limit_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    pub(crate) commits: u64,
    /// Of all commits together.
    pub(crate) commit_micros: u64,
}

/// Since the worker's start, but for what is in flight and in memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Totals {
    pub(crate) received: u64,
    pub(crate) admitted: u64,
    pub(crate) duplicates: u64,
    pub(crate) unrouted: u64,
    pub(crate) malformed: u64,
    pub(crate) delivered: u64,
    pub(crate) dead: u64,
    pub(crate) failed_attempts: u64,
    pub(crate) refused_addresses: u64,
    pub(crate) trips: u64,
    pub(crate) recoveries: u64,
    pub(crate) in_flight: u64,
    pub(crate) held: u64,
}

/// One subscription, or several together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) state: String,
    /// Since the worker's start.
    pub(crate) delivered: u64,
    /// Since the worker's start.
    pub(crate) failed_attempts: u64,
    pub(crate) in_flight: u64,
    pub(crate) pending: u64,
    pub(crate) parked: u64,
    pub(crate) dead: u64,
    /// How long the oldest has waited, also one read back from the queue and in flight.
    pub(crate) oldest_seconds: Option<f64>,
    pub(crate) last_error: Option<LastError>,
    /// For how long its receiver has asked to be sent nothing from now on, if it has.
    #[serde(default)]
    pub(crate) deferred_seconds: Option<f64>,
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastError {
    pub(crate) error: String,
    pub(crate) seconds_ago: f64,
}

impl Status {
    /// As it is now.
    pub(super) fn of(seen: &Seen) -> Self {
        let (stats, clock) = (&seen.stats, &seen.clock);
        let degraded = |(error, time): (String, Duration)| Degraded { error, seconds: time.as_secs_f64() };
        let others = stats.shown.others();
        let others_count = Standing::ALL.into_iter().map(|standing| others.standing(standing)).sum();
        let subscriptions: Vec<Subscription> =
            stats.shown.each().iter().map(|figures| Subscription::of(figures, seen)).collect();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            at: clock.wall().as_seconds_f64(),
            uptime_seconds: clock.uptime().since(seen.started).as_secs_f64(),
            turns: stats.pulse.beats(),
            degraded: seen.degraded().map(degraded),
            bus_degraded: stats.bus_refusal().map(|(why, since)| degraded((why.into(), since.elapsed()))),
            clock_ahead_seconds: clock.doubt().map(seconds),
            bus: match (seen.has_bus, stats.is_bus_connected()) {
                (false, _) => Bus::None,
                (true, true) => Bus::Connected,
                (true, false) => Bus::Away,
            },
            bus_losses: stats.bus_losses(),
            queue: Queue::of(seen),
            totals: Totals::of(seen, &subscriptions, others),
            counted: stats.censuses.get() > 0,
            others: (others_count > 0).then(|| Subscription::of(others, seen)),
            others_count,
            subscriptions,
            bad_rows: stats.bad_rows.get(),
        }
    }
}

impl Queue {
    fn of(seen: &Seen) -> Self {
        let commits = seen.queue.commit_time.read();
        Self {
            file_bytes: process::file_bytes(&seen.data_dir.join("queue.db")),
            log_bytes: seen.queue.log_bytes.get(),
            limit_bytes: seen.max_bytes,
            disk_free_bytes: process::disk_bytes(&seen.data_dir).map_or(0, |(_, free)| free),
            commits: commits.total(),
            commit_micros: commits.sum,
        }
    }
}

impl Totals {
    fn of(seen: &Seen, subscriptions: &[Subscription], others: &Figures) -> Self {
        let stats = &seen.stats;
        let failed = Reason::ALL.into_iter().map(|reason| stats.attempts(Some(reason)).get()).sum();
        let in_flight = subscriptions.iter().map(|subscription| subscription.in_flight).sum::<u64>();
        Self {
            received: stats.received.get(),
            admitted: stats.admitted.get(),
            duplicates: stats.duplicates.get(),
            unrouted: stats.unrouted.get(),
            malformed: stats.malformed.get(),
            delivered: stats.delivered.get(),
            dead: stats.dead.get(),
            failed_attempts: failed,
            refused_addresses: stats.attempts(Some(Reason::Forbidden)).get(),
            trips: stats.trips.get(),
            recoveries: stats.recoveries.get(),
            in_flight: in_flight + others.in_flight.get(),
            held: stats.held.get(),
        }
    }
}

impl Subscription {
    fn of(figures: &Figures, seen: &Seen) -> Self {
        let (about, clock) = (figures.about(), &seen.clock);
        let state = Standing::ALL.into_iter().find(|standing| figures.standing(*standing) > 0);
        Self {
            uuid: about.uuid.into(),
            name: about.name.into(),
            state: state.map_or("", Standing::as_str).into(),
            delivered: figures.delivered.get(),
            failed_attempts: figures.failed_attempts.get(),
            in_flight: figures.in_flight.get(),
            pending: figures.pending.get(),
            parked: figures.parked.get(),
            dead: figures.dead.get(),
            oldest_seconds: age(figures.oldest_at.get(), clock.now()).map(|age| age.as_secs_f64()),
            last_error: about.last_error.map(|(at, error)| LastError {
                error: error.into(),
                seconds_ago: clock.uptime().since(at).as_secs_f64(),
            }),
            deferred_seconds: about
                .deferred_until
                .map(|until| until.since(clock.uptime()).as_secs_f64())
                .filter(|seconds| *seconds > 0.0),
        }
    }
}
