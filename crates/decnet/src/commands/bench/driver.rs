//! Publishes and watches what becomes of it, on a thread of its own.

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

use super::cpu::Used;
use super::figures::{Latency, Quantiles, Throughput};
use super::plan::Plan;
use super::progress::Progress;
use crate::output::counted;
use crate::receiver::now;

/// The topic of all events, by which a receiver can tell them from others.
pub(super) const TOPIC: &str = "bench";
/// The one that many subscriptions ask for.
pub(super) const MANY_TOPIC: &str = "bench.many";
pub(super) const KIND: &str = "bench";
/// Bytes of padding that make a delivered body 600 bytes long.
const PAD_BYTES: usize = 440;
const NAME: &str = "decnet-bench";
/// Events published at once before the receiver's count is looked at.
const SLICE: u64 = 64;
/// How far the publisher goes ahead of the receiver, at least and as a share of a second.
const LEAST_AHEAD: u64 = 512;
const AHEAD: f64 = 0.25;
const POLL: Duration = Duration::from_millis(1);
/// How long nothing may be delivered before the run counts as stuck.
const STUCK: Duration = Duration::from_secs(30);

/// The payload of an event that is due then, in microseconds since 1970.
pub(super) fn payload(due_us: i64) -> Value {
    json!({"due_us": due_us, "pad": "x".repeat(PAD_BYTES)})
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) latency: Latency,
    /// How long one attempt took, unhurried.
    pub(super) attempt: Duration,
    pub(super) throughput: Vec<Throughput>,
}

/// A publisher that is connected, before the worker starts.
pub(super) struct Driver {
    client: Client,
    watcher: Client,
    directory: PathBuf,
    plan: Plan,
    progress: Progress,
}

/// A driver at work.
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

    /// Measures everything, and then stops the worker; nothing if `stop` came first.
    pub(super) async fn run(
        self,
        stats: Arc<Stats>,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<Measured>> {
        let Self { client, watcher, directory, plan, progress } = self;
        let _stop_in_any_case = stop.clone().drop_guard();
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

    /// Publishes each event at its own time, whatever became of those before, and waits for the deliveries.
    async fn pace(&mut self, events: u32, per_second: u32, step: &str) -> anyhow::Result<()> {
        let (before, begun) = (self.stats.delivered.get(), now());
        for number in 0..events {
            let due = begun.after(Duration::from_secs(number.into()) / per_second);
            tokio::time::sleep(due.since(now())).await;
            self.client.publish(TOPIC, KIND, &payload(due.0)).await?;
            if number % per_second == 0 {
                self.progress.show(format!("{step}: {number} of {events} events, {per_second} a second"));
            }
        }
        self.settle(before + u64::from(events)).await
    }

    /// From the time an event was due to the receiver's answer, as the queue has recorded it.
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

    /// The newest deliveries, once the queue has recorded that they are made, which is a little later.
    async fn recorded(&self, count: u32) -> anyhow::Result<Vec<Detail>> {
        let (reader, begun) = (Reader::open(&self.directory)?, Instant::now());
        let newest = Filter { limit: Some(usize::try_from(count)?), ..Filter::default() };
        loop {
            let listed = reader.list(&newest)?;
            if listed.iter().all(|listed| listed.settled_at.is_some()) {
                let details = listed.into_iter().filter_map(|listed| reader.get(listed.id).transpose());
                return Ok(details.collect::<Result<_, _>>()?);
            }
            anyhow::ensure!(begun.elapsed() < STUCK, "the queue has not recorded deliveries for {STUCK:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Publishes as fast as it is taken, a little ahead of the receiver, and waits for the deliveries.
    async fn flat_out(&mut self, topic: &str, fan_out: u32, plan: Plan) -> anyhow::Result<Throughput> {
        let before = self.stats.delivered.get();
        let (used, begun) = (Used::so_far(), Instant::now());
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
                self.must_go_well()?;
                let subscriptions = counted(fan_out.into(), "subscription", "subscriptions");
                self.progress.show(format!("flat out: {delivered} events to {subscriptions}"));
                tokio::time::sleep(POLL).await;
            }
        }
        self.client.sender().flush().await?;
        let deliveries = published * u64::from(fan_out);
        self.settle(before + deliveries).await?;
        Ok(Throughput::new(fan_out, deliveries, begun.elapsed(), used.until_now()))
    }

    /// Waits until so many are delivered.
    async fn settle(&self, owed: u64) -> anyhow::Result<()> {
        let (mut last, mut progress_at) = (self.stats.delivered.get(), Instant::now());
        while last < owed {
            self.must_go_well()?;
            tokio::time::sleep(POLL).await;
            let delivered = self.stats.delivered.get();
            if delivered > last {
                (last, progress_at) = (delivered, Instant::now());
            }
            anyhow::ensure!(
                progress_at.elapsed() < STUCK,
                "nothing was delivered for {STUCK:?}: {last} of {owed} were"
            );
        }
        Ok(())
    }

    /// A receiver that fails is left alone at once.
    fn must_go_well(&self) -> anyhow::Result<()> {
        let failed = self.stats.retried.get() + self.stats.dead.get();
        if failed == 0 {
            return Ok(());
        }
        let first = self.first_failure().unwrap_or_else(|| "see the receiver's log".into());
        let delivered = counted(self.stats.delivered.get(), "delivery", "deliveries");
        anyhow::bail!("stopped, since the receiver fails after {delivered}: {first}")
    }

    fn first_failure(&self) -> Option<String> {
        let reader = Reader::open(&self.directory).ok()?;
        let failed = |standing| Filter { standings: vec![standing], limit: Some(1), ..Filter::default() };
        let listed = [Standing::Dead, Standing::Retrying].map(|standing| reader.list(&failed(standing)));
        let listed = listed.into_iter().flatten().flatten().next()?;
        let attempt = reader.get(listed.id).ok()??.attempts.into_iter().next_back()?;
        let reason = attempt.reason.map(|reason| reason.to_string());
        let status = attempt.status.map(|status| format!("status {status}"));
        let told = [status, reason, attempt.detail.map(String::from)].into_iter().flatten();
        Some(told.collect::<Vec<_>>().join(", "))
    }
}

/// How many events to be ahead of the receiver: enough that there is always more to do, and little enough that
/// a slow machine is done soon after the time is up.
fn ahead(delivered: u64, elapsed: Duration) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate is small and positive"
    )]
    let share = (delivered as f64 / elapsed.as_secs_f64().max(0.1) * AHEAD) as u64;
    share.max(LEAST_AHEAD)
}
