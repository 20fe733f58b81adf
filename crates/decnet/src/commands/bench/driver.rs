//! The load generator: publishes events and measures their deliveries, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use decnet_bus::Client;
use decnet_core::delivery::Standing;
use decnet_core::topic::own::HEALTH_TOPIC;
use decnet_dispatch::Stats;
use decnet_store::queue::{Detail, Filter, Reader};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::cpu::CpuSample;
use super::figures::{Latency, Quantiles, Throughput};
use super::plan::Plan;
use super::progress::Progress;
use crate::output::pluralize;
use crate::receiver::now;

/// The topic of all events to one subscription, by which a receiver can recognise them.
pub(super) const TOPIC: &str = "bench";
/// The topic to which many subscriptions are subscribed.
pub(super) const MANY_TOPIC: &str = "bench.many";
pub(super) const KIND: &str = "bench";
/// The bytes of padding that make a delivered body 600 bytes long.
const PAD_BYTES: usize = 440;
const NAME: &str = "decnet-bench";
/// The events that are published between two checks of the receiver's count.
const SLICE: u64 = 64;
/// The minimum number of events that the publisher is ahead of the receiver.
const MIN_AHEAD: u64 = 512;
/// How far the publisher is ahead of the receiver, in seconds of deliveries.
const AHEAD_SECONDS: f64 = 0.25;
const POLL: Duration = Duration::from_millis(1);
/// How long a run may make no progress before it fails.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the payload of an event that is due at `due_us`, in microseconds since 1970.
pub(super) fn payload(due_us: i64) -> Value {
    json!({"due_us": due_us, "pad": "x".repeat(PAD_BYTES)})
}

/// The results of the measurements.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) latency: Latency,
    /// The median duration of an attempt at the paced rate.
    pub(super) attempt: Duration,
    pub(super) throughput: Vec<Throughput>,
}

/// A load generator that is connected, before the worker starts.
pub(super) struct Driver {
    client: Client,
    watcher: Client,
    directory: PathBuf,
    plan: Plan,
    progress: Progress,
}

/// A running load generator.
struct Run {
    client: Client,
    directory: PathBuf,
    stats: Arc<Stats>,
    progress: Progress,
}

impl Driver {
    pub(super) async fn prepare(socket: &Path, directory: &Path, plan: Plan) -> anyhow::Result<Self> {
        let mut watcher = Client::connect(socket, NAME).await?;
        watcher.subscribe(HEALTH_TOPIC).await?;
        let client = Client::connect(socket, NAME).await?;
        Ok(Self { client, watcher, directory: directory.to_owned(), plan, progress: Progress::new() })
    }

    /// Measures everything, then stops the worker. `None` if `stop` was cancelled first.
    pub(super) async fn run(
        self,
        stats: Arc<Stats>,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<Measured>> {
        let Self { client, watcher, directory, plan, progress } = self;
        let _stop_on_return = stop.clone().drop_guard();
        let mut run = Run { client, directory, stats, progress };
        stop.run_until_cancelled(run.measure(watcher, plan)).await.transpose()
    }
}

impl Run {
    async fn measure(&mut self, mut watcher: Client, plan: Plan) -> anyhow::Result<Measured> {
        self.progress.show("starting");
        watcher.recv_batch(&mut Vec::new()).await.context("the worker did not start")?;
        drop(watcher);
        self.pace(plan.warm_up, plan.per_second, "warming up").await?;
        self.pace(plan.paced, plan.per_second, "latency").await?;
        let (latency, attempt) = self.latency(plan).await?;
        let mut throughput = vec![self.flat_out(TOPIC, 1, plan).await?];
        if let Some(many) = plan.many {
            throughput.push(self.flat_out(MANY_TOPIC, many, plan).await?);
        }
        Ok(Measured { latency, attempt, throughput })
    }

    /// Publishes each event at its due time, independent of earlier deliveries, and waits for the deliveries.
    async fn pace(&mut self, events: u32, per_second: u32, step: &str) -> anyhow::Result<()> {
        let (before, begun) = (self.stats.delivered.get(), now());
        for number in 0..events {
            let due = begun.after(Duration::from_secs(number.into()) / per_second);
            tokio::time::sleep(due.since(now())).await;
            self.client.publish(TOPIC, KIND, &payload(due.0)).await?;
            if number % per_second == 0 {
                self.progress.show(format!("{step}: {number} of {events} events, {per_second} per second"));
            }
        }
        self.settle(before + u64::from(events)).await
    }

    /// Computes the latency from the due time of an event to the receiver's response, as recorded in the queue.
    async fn latency(&self, plan: Plan) -> anyhow::Result<(Latency, Duration)> {
        let (mut taken, mut attempts) = (Vec::new(), Vec::new());
        for Detail { listed, body, attempts: made } in self.recorded(plan.paced).await? {
            let due = serde_json::from_slice::<Value>(&body)?["payload"]["due_us"].as_i64();
            if let (Some(due), Some(settled)) = (due, listed.settled_at) {
                taken.push(Duration::from_micros(settled.0.saturating_sub(due).max(0).unsigned_abs()));
            }
            attempts.extend(made.last().map(|attempt| attempt.duration));
        }
        attempts.sort_unstable();
        let attempt = attempts.get(attempts.len() / 2).copied().unwrap_or_default();
        Ok((Latency { per_second: plan.per_second, quantiles: Quantiles::of(taken) }, attempt))
    }

    /// Returns the newest deliveries once the queue has recorded all of them as settled.
    async fn recorded(&self, count: u32) -> anyhow::Result<Vec<Detail>> {
        let (reader, begun) = (Reader::open(&self.directory)?, Instant::now());
        let newest = Filter { limit: Some(usize::try_from(count)?), ..Filter::default() };
        loop {
            let listed = reader.list(&newest)?;
            if listed.iter().all(|listed| listed.settled_at.is_some()) {
                let details = listed.into_iter().filter_map(|listed| reader.get(listed.id).transpose());
                return Ok(details.collect::<Result<_, _>>()?);
            }
            anyhow::ensure!(
                begun.elapsed() < STALL_TIMEOUT,
                "the queue has not recorded deliveries for {STALL_TIMEOUT:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Publishes at full speed, a little ahead of the receiver, and waits for the deliveries.
    async fn flat_out(&mut self, topic: &str, fan_out: u32, plan: Plan) -> anyhow::Result<Throughput> {
        let before = self.stats.delivered.get();
        let (cpu, begun) = (CpuSample::now(), Instant::now());
        let mut published = 0;
        while published < plan.events && begun.elapsed() < plan.time {
            let delivered = (self.stats.delivered.get() - before) / u64::from(fan_out);
            let next = (delivered + ahead(delivered, begun.elapsed())).min(plan.events);
            let slice = next.saturating_sub(published).min(SLICE);
            for _ in 0..slice {
                self.client.sender().feed(topic, KIND, &payload(now().0)).await?;
            }
            published += slice;
            if next <= published {
                self.client.sender().flush().await?;
                self.check_failures()?;
                let subscriptions = pluralize(fan_out.into(), "subscription", "subscriptions");
                self.progress.show(format!("throughput: {delivered} events to {subscriptions}"));
                tokio::time::sleep(POLL).await;
            }
        }
        self.client.sender().flush().await?;
        let deliveries = published * u64::from(fan_out);
        self.settle(before + deliveries).await?;
        Ok(Throughput::new(fan_out, deliveries, begun.elapsed(), cpu.elapsed()))
    }

    /// Waits until `expected` events are delivered.
    async fn settle(&self, expected: u64) -> anyhow::Result<()> {
        let (mut last, mut progress_at) = (self.stats.delivered.get(), Instant::now());
        while last < expected {
            self.check_failures()?;
            tokio::time::sleep(POLL).await;
            let delivered = self.stats.delivered.get();
            if delivered > last {
                (last, progress_at) = (delivered, Instant::now());
            }
            anyhow::ensure!(
                progress_at.elapsed() < STALL_TIMEOUT,
                "nothing was delivered for {STALL_TIMEOUT:?}, after {last} of {expected} deliveries"
            );
        }
        Ok(())
    }

    /// Stops the run at the first failed attempt, to spare the receiver.
    fn check_failures(&self) -> anyhow::Result<()> {
        let failed = self.stats.retried.get() + self.stats.dead.get();
        if failed == 0 {
            return Ok(());
        }
        let first = self.first_failure().unwrap_or_else(|| "see the receiver's log".into());
        let delivered = pluralize(self.stats.delivered.get(), "delivery", "deliveries");
        anyhow::bail!("stopped because the receiver failed after {delivered}: {first}")
    }

    fn first_failure(&self) -> Option<String> {
        let reader = Reader::open(&self.directory).ok()?;
        let failed = |standing| Filter { standings: vec![standing], limit: Some(1), ..Filter::default() };
        let listed = [Standing::Dead, Standing::Retrying].map(|standing| reader.list(&failed(standing)));
        let listed = listed.into_iter().flatten().flatten().next()?;
        let attempt = reader.get(listed.id).ok()??.attempts.into_iter().next_back()?;
        let reason = attempt.reason.map(|reason| reason.to_string());
        let status = attempt.status.map(|status| format!("status {status}"));
        let parts = [status, reason, attempt.detail.map(String::from)].into_iter().flatten();
        Some(parts.collect::<Vec<_>>().join(", "))
    }
}

/// Returns how many events to publish ahead of the receiver: enough to keep the worker busy, few enough that a slow
/// machine finishes soon after the time is up.
fn ahead(delivered: u64, elapsed: Duration) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate is small and positive"
    )]
    let share = (delivered as f64 / elapsed.as_secs_f64().max(0.1) * AHEAD_SECONDS) as u64;
    share.max(MIN_AHEAD)
}
