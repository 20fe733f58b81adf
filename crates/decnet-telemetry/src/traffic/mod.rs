//! What the worker has done lately: rates, latency and backlog of the last hour and the last day.
//!
//! The thread of the endpoint reads the worker's counters every [`TRAFFIC_SAMPLE_INTERVAL`] and keeps the differences in arrays of
//! fixed size. The worker itself does nothing for it. All of it takes about 50 KiB, and 400 bytes for each subscription that was
//! active.

mod activity;
mod ring;

use std::collections::VecDeque;
use std::time::Duration;

use decnet_api::{Activity, BusLink, Interval, Traffic};
use decnet_core::limits::TRAFFIC_SAMPLE_INTERVAL;
use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::{Stats, SubscriptionMetrics};
use decnet_runtime::clock::Clock;
use decnet_runtime::metrics::Distribution;
use decnet_runtime::sync::lock;
use tokio_util::sync::CancellationToken;

use self::activity::Activities;
use self::ring::Ring;
use super::metrics::age;
use super::worker::WorkerView;

/// The path of the traffic.
pub(super) const PATH: &str = "/traffic";
/// The path of the activity of subscriptions.
pub(super) const ACTIVITY_PATH: &str = "/traffic/subscriptions";
const MINUTE: Duration = Duration::from_secs(60);
/// The intervals of an hour, and of a day.
const HOUR: (Duration, usize) = (MINUTE, 60);
const DAY: (Duration, usize) = (Duration::from_secs(15 * 60), 96);

/// The counts of intervals.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The time by which the wall clock was ahead of the boot clock at the start, in microseconds.
    anchor: i64,
    hour: Ring<Flow>,
    day: Ring<Flow>,
    /// Samples of the last minute, and one that is older.
    recent: VecDeque<Sample>,
    last: Sample,
    activities: Activities,
    /// The time of the last sample of the activities.
    activities_at: BootMicros,
}

/// The worker's counters at a time.
#[derive(Debug, Clone)]
struct Sample {
    at: BootMicros,
    admitted: u64,
    delivered: u64,
    failed_attempts: u64,
    dead: u64,
    latency: Distribution,
    waiting: u64,
    oldest: Duration,
}

/// What happened between two samples, or in an interval.
#[derive(Debug, Clone, Default)]
struct Flow {
    time: Duration,
    admitted: u64,
    delivered: u64,
    failed_attempts: u64,
    dead: u64,
    latency: Option<Distribution>,
    waiting: u64,
    oldest: Duration,
}

/// Records samples until `stop`.
pub(super) async fn record(view: &WorkerView, stop: &CancellationToken) {
    loop {
        let wait = lock(&view.traffic).until_next_sample(view.clock.uptime());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        let mut recorder = lock(&view.traffic);
        recorder.sample(&view.stats, &view.clock);
        recorder.sample_activities(&view.stats, &view.clock);
    }
}

/// Returns the traffic up to now.
pub(super) fn read(view: &WorkerView) -> Traffic {
    let mut recorder = lock(&view.traffic);
    recorder.sample(&view.stats, &view.clock);
    Traffic {
        since: view.started_at.to_iso8601(),
        bus: bus(view),
        now: recorder.last_minute(&view.clock),
        hour: recorder.intervals(&recorder.hour, &view.clock),
        day: recorder.intervals(&recorder.day, &view.clock),
    }
}

/// Returns the activity of subscriptions up to now.
pub(super) fn activity(view: &WorkerView) -> Activity {
    let mut recorder = lock(&view.traffic);
    recorder.sample_activities(&view.stats, &view.clock);
    recorder.activities.read(view.clock.uptime())
}

fn bus(view: &WorkerView) -> BusLink {
    let state = match (view.has_bus, view.stats.is_bus_connected()) {
        (false, _) => "none",
        (true, true) => "connected",
        (true, false) => "away",
    };
    let losses = view.stats.bus_losses();
    BusLink {
        state: state.into(),
        problem: view.stats.bus_refusal().map(|(why, _)| why.into()),
        dropped: losses.map(|losses| losses.dropped_ordinary + losses.dropped_lossless),
        publisher_pauses: losses.map(|losses| losses.publisher_pauses),
    }
}

impl Recorder {
    /// Creates the recorder of a new worker.
    pub(super) fn new(stats: &Stats, clock: &Clock) -> Self {
        let last = Sample::of(stats, clock);
        let anchor = clock.wall().0.saturating_sub(last.at.0);
        Self {
            anchor,
            hour: Ring::new(HOUR.0, HOUR.1, anchor),
            day: Ring::new(DAY.0, DAY.1, anchor),
            recent: VecDeque::from([last.clone()]),
            activities_at: last.at,
            last,
            activities: Activities::new(anchor),
        }
    }

    /// Returns the time until the next sample is due, at a round time: samples lie at the borders of intervals.
    fn until_next_sample(&self, now: BootMicros) -> Duration {
        let since = u64::try_from(now.0.saturating_add(self.anchor)).unwrap_or(0);
        let step = u64::try_from(TRAFFIC_SAMPLE_INTERVAL.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(step - since % step)
    }

    /// Adds what has happened since the last sample to the interval in which that was taken.
    fn sample(&mut self, stats: &Stats, clock: &Clock) {
        let sample = Sample::of(stats, clock);
        let flow = sample.since(&self.last);
        self.hour.at(self.last.at).add(&flow);
        self.day.at(self.last.at).add(&flow);
        // A client that asks often adds no samples.
        if self.recent.back().is_none_or(|last| sample.at.since(last.at) >= TRAFFIC_SAMPLE_INTERVAL / 2) {
            self.recent.push_back(sample.clone());
        }
        while self.recent.get(1).is_some_and(|second| sample.at.since(second.at) >= MINUTE) {
            self.recent.pop_front();
        }
        self.last = sample;
    }

    fn sample_activities(&mut self, stats: &Stats, clock: &Clock) {
        self.activities.sample(&stats.by_subscription, self.activities_at);
        self.activities_at = clock.uptime();
    }

    fn last_minute(&self, clock: &Clock) -> Interval {
        let begin = self.recent.front().unwrap_or(&self.last);
        self.last.since(begin).interval(begin.at, clock)
    }

    fn intervals(&self, ring: &Ring<Flow>, clock: &Clock) -> Vec<Option<Interval>> {
        ring.read(self.last.at).map(|(begin, flow)| flow.map(|flow| flow.interval(begin, clock))).collect()
    }
}

impl Sample {
    fn of(stats: &Stats, clock: &Clock) -> Self {
        let subscriptions = stats.by_subscription.individual();
        let all = || subscriptions.iter().map(|metrics| &**metrics).chain([stats.by_subscription.others()]);
        let waiting = |metrics: &SubscriptionMetrics| metrics.pending.get() + metrics.parked.get();
        let oldest_at = all().map(|metrics| metrics.oldest_at.get()).filter(|at| *at > 0).min();
        Self {
            at: clock.uptime(),
            admitted: stats.admitted.get(),
            delivered: stats.delivered.get(),
            failed_attempts: stats.failed_attempts(),
            dead: stats.dead.get(),
            latency: stats.times.delivery.read(),
            waiting: all().map(waiting).sum(),
            oldest: oldest_at.and_then(|at| age(at, clock.now())).unwrap_or_default(),
        }
    }

    fn since(&self, earlier: &Self) -> Flow {
        Flow {
            time: self.at.since(earlier.at),
            admitted: self.admitted.saturating_sub(earlier.admitted),
            delivered: self.delivered.saturating_sub(earlier.delivered),
            failed_attempts: self.failed_attempts.saturating_sub(earlier.failed_attempts),
            dead: self.dead.saturating_sub(earlier.dead),
            latency: Some(self.latency.since(&earlier.latency)),
            waiting: self.waiting,
            oldest: self.oldest,
        }
    }
}

impl Flow {
    fn add(&mut self, more: &Self) {
        self.time += more.time;
        self.admitted += more.admitted;
        self.delivered += more.delivered;
        self.failed_attempts += more.failed_attempts;
        self.dead += more.dead;
        self.waiting = self.waiting.max(more.waiting);
        self.oldest = self.oldest.max(more.oldest);
        match (&mut self.latency, &more.latency) {
            (Some(latency), Some(more)) => latency.add(more),
            (latency, more) => *latency = latency.take().or_else(|| more.clone()),
        }
    }

    fn interval(&self, begin: BootMicros, clock: &Clock) -> Interval {
        let quantile = |fraction| {
            let micros = self.latency.as_ref().and_then(|latency| latency.quantile(fraction));
            micros.map(|micros| micros / 1e3)
        };
        Interval {
            at: whole_seconds(clock.wall_at(begin)).to_iso8601(),
            seconds: self.time.as_secs_f64(),
            admitted: self.admitted,
            delivered: self.delivered,
            failed_attempts: self.failed_attempts,
            dead: self.dead,
            latency_p50_ms: quantile(0.5),
            latency_p99_ms: quantile(0.99),
            waiting: self.waiting,
            oldest_seconds: self.oldest.as_secs_f64(),
        }
    }
}

/// Rounds to seconds: a wall clock that is disciplined differs from the boot clock by some milliseconds.
fn whole_seconds(at: UnixMicros) -> UnixMicros {
    UnixMicros(at.0.saturating_add(500_000).div_euclid(1_000_000) * 1_000_000)
}

#[cfg(test)]
mod tests;
