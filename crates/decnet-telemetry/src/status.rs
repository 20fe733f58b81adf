//! The data of `decnet status` as JSON: the same numbers as the metrics, arranged for people.

use std::time::Duration;

use decnet_bus::Losses;
use decnet_core::delivery::Reason;
use decnet_dispatch::{SubscriptionMetrics, SubscriptionState};
use serde::{Deserialize, Serialize};

use super::metrics::{age, seconds_of as seconds};
use super::process;
use super::worker::WorkerView;

pub(super) const CONTENT_TYPE: &str = "application/json";

/// A worker's status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// The worker's process id.
    pub pid: u32,
    /// The time of the status, in seconds since 1970.
    pub at: f64,
    /// The time since the worker's start, in seconds.
    pub uptime_seconds: f64,
    /// The number of turns of the worker's loop: at least one per second while it is alive.
    pub turns: u64,
    /// The reason why the queue cannot be written, if it cannot.
    pub degraded: Option<Degraded>,
    /// The seconds by which the untrusted system clock is ahead of the expected time, negative if behind; `None` if trusted.
    #[serde(default)]
    pub clock_ahead_seconds: Option<f64>,
    /// The state of the bus connection.
    pub bus: Bus,
    /// The reason why the bus gives the worker an ordinary queue instead of a lossless queue, if it does.
    pub bus_degraded: Option<Degraded>,
    /// The losses of the bus since its start, if it reports them.
    pub bus_losses: Option<Losses>,
    /// The queue and its disk.
    pub queue: Queue,
    /// The totals since the worker's start.
    pub totals: Totals,
    /// Whether the deliveries of earlier workers have been counted.
    pub counted: bool,
    /// The subscriptions with metrics of their own.
    pub subscriptions: Vec<Subscription>,
    /// The sum over all other subscriptions, if there are any.
    pub others: Option<Subscription>,
    /// The number of other subscriptions.
    pub others_count: u64,
    /// The number of invalid rows.
    pub bad_rows: u64,
}

/// The reason and the duration of a degraded state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Degraded {
    /// The reason.
    pub error: String,
    /// The duration so far, in seconds.
    pub seconds: f64,
}

/// The state of the bus connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bus {
    /// No bus is configured.
    #[default]
    None,
    /// The worker is connected.
    Connected,
    /// The worker is not connected and retries.
    Away,
}

/// The sizes of the queue and its disk in bytes, and its commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The size of the queue's file.
    pub file_bytes: u64,
    /// The size of the write-ahead log.
    pub log_bytes: u64,
    /// The size above which the oldest final deliveries are removed.
    pub limit_bytes: u64,
    /// The free space on the file system, available to the worker.
    pub disk_free_bytes: u64,
    /// The number of commits since the worker's start.
    pub commits: u64,
    /// The duration of all commits together, in microseconds.
    pub commit_micros: u64,
}

/// Totals since the worker's start; `in_flight` and `held` are current values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Events read from the bus, and submitted events read from the queue.
    pub received: u64,
    /// Events committed to the queue.
    pub admitted: u64,
    /// Events skipped because their ids had been admitted before.
    pub duplicates: u64,
    /// Events that match no subscription.
    pub unrouted: u64,
    /// Deliveries excluded by a minimum severity or a filter.
    #[serde(default)]
    pub excluded: u64,
    /// Messages on the bus that are not valid events.
    pub malformed: u64,
    /// Deliveries that a receiver accepted.
    pub delivered: u64,
    /// Deliveries that became dead.
    pub dead: u64,
    /// Attempts that failed for any reason.
    pub failed_attempts: u64,
    /// Attempts that the egress guard refused because of a forbidden address.
    pub refused_addresses: u64,
    /// Subscriptions tripped because their receivers failed.
    pub trips: u64,
    /// Tripped subscriptions whose receivers recovered.
    pub recoveries: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Deliveries in memory, in flight or waiting.
    pub held: u64,
}

/// One subscription, or the sum over several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// The UUID; empty for a sum.
    pub uuid: String,
    /// The name.
    pub name: String,
    /// The state, as in the metric `decnet_webhook_subscription_state`; empty if unknown.
    pub state: String,
    /// Deliveries since the worker's start that the receiver accepted.
    pub delivered: u64,
    /// Failed attempts since the worker's start.
    pub failed_attempts: u64,
    /// Events since the worker's start that its minimum severity or its filter excluded.
    #[serde(default)]
    pub excluded: u64,
    /// Requests in flight.
    pub in_flight: u64,
    /// Deliveries that wait for an attempt or a retry.
    pub pending: u64,
    /// Deliveries that wait while the subscription is paused or tripped.
    pub parked: u64,
    /// Dead deliveries in the queue.
    pub dead: u64,
    /// The age of the oldest pending delivery in seconds, including one that was read from the queue and is in flight.
    pub oldest_seconds: Option<f64>,
    /// The last error, if there was one.
    pub last_error: Option<LastError>,
    /// The reason why the filter, the format or the template cannot be used, if it cannot: deliveries wait.
    #[serde(default)]
    pub hold: Option<String>,
    /// The remaining seconds for which the receiver asked for no requests (`Retry-After`), if it did.
    #[serde(default)]
    pub deferred_seconds: Option<f64>,
}

/// The last error of a subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastError {
    /// The error.
    pub error: String,
    /// The time since the error, in seconds.
    pub seconds_ago: f64,
}

impl Status {
    /// Reads the current status.
    pub(super) fn of(view: &WorkerView) -> Self {
        let (stats, clock) = (&view.stats, &view.clock);
        let degraded = |(error, time): (String, Duration)| Degraded { error, seconds: time.as_secs_f64() };
        let others = stats.by_subscription.others();
        let others_count = SubscriptionState::ALL.into_iter().map(|state| others.in_state(state)).sum();
        let subscriptions: Vec<Subscription> = stats
            .by_subscription
            .individual()
            .iter()
            .map(|metrics| Subscription::of(metrics, view))
            .collect();
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            at: clock.wall().as_seconds_f64(),
            uptime_seconds: clock.uptime().since(view.started).as_secs_f64(),
            turns: stats.liveness.turns(),
            degraded: view.degraded().map(degraded),
            bus_degraded: stats.bus_refusal().map(|(why, since)| degraded((why.into(), since.elapsed()))),
            clock_ahead_seconds: clock.doubt().map(seconds),
            bus: match (view.has_bus, stats.is_bus_connected()) {
                (false, _) => Bus::None,
                (true, true) => Bus::Connected,
                (true, false) => Bus::Away,
            },
            bus_losses: stats.bus_losses(),
            queue: Queue::of(view),
            totals: Totals::of(view, &subscriptions, others),
            counted: stats.censuses.get() > 0,
            others: (others_count > 0).then(|| Subscription::of(others, view)),
            others_count,
            subscriptions,
            bad_rows: stats.bad_rows.get(),
        }
    }
}

impl Queue {
    fn of(view: &WorkerView) -> Self {
        let commits = view.queue.commit_time.read();
        Self {
            file_bytes: process::file_bytes(&view.data_dir.join("queue.db")),
            log_bytes: view.queue.log_bytes.get(),
            limit_bytes: view.max_bytes,
            disk_free_bytes: process::disk_bytes(&view.data_dir).map_or(0, |(_, free)| free),
            commits: commits.total(),
            commit_micros: commits.sum,
        }
    }
}

impl Totals {
    fn of(view: &WorkerView, subscriptions: &[Subscription], others: &SubscriptionMetrics) -> Self {
        let stats = &view.stats;
        let in_flight = subscriptions.iter().map(|subscription| subscription.in_flight).sum::<u64>();
        Self {
            received: stats.received.get(),
            admitted: stats.admitted.get(),
            duplicates: stats.duplicates.get(),
            unrouted: stats.unrouted.get(),
            excluded: stats.excluded.get(),
            malformed: stats.malformed.get(),
            delivered: stats.delivered.get(),
            dead: stats.dead.get(),
            failed_attempts: stats.failed_attempts(),
            refused_addresses: stats.attempts(Some(Reason::Forbidden)).get(),
            trips: stats.trips.get(),
            recoveries: stats.recoveries.get(),
            in_flight: in_flight + others.in_flight.get(),
            held: stats.held.get(),
        }
    }
}

impl Subscription {
    fn of(metrics: &SubscriptionMetrics, view: &WorkerView) -> Self {
        let (labels, clock) = (metrics.labels(), &view.clock);
        let state = SubscriptionState::ALL.into_iter().find(|state| metrics.in_state(*state) > 0);
        Self {
            uuid: labels.uuid.into(),
            name: labels.name.into(),
            state: state.map_or("", SubscriptionState::as_str).into(),
            delivered: metrics.delivered.get(),
            failed_attempts: metrics.failed_attempts.get(),
            excluded: metrics.excluded.get(),
            in_flight: metrics.in_flight.get(),
            pending: metrics.pending.get(),
            parked: metrics.parked.get(),
            dead: metrics.dead.get(),
            oldest_seconds: age(metrics.oldest_at.get(), clock.now()).map(|age| age.as_secs_f64()),
            last_error: labels.last_error.map(|(at, error)| LastError {
                error: error.into(),
                seconds_ago: clock.uptime().since(at).as_secs_f64(),
            }),
            hold: labels.hold.map(Into::into),
            deferred_seconds: labels
                .deferred_until
                .map(|until| until.since(clock.uptime()).as_secs_f64())
                .filter(|seconds| *seconds > 0.0),
        }
    }
}
