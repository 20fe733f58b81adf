//! The measurements, on a thread of their own: each publishes a load and waits for its deliveries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use decnet_bench::cpu::CpuSample;
use decnet_bench::load::{Load, Pace, STALL_TIMEOUT};
use decnet_bench::quantiles::Quantiles;
use decnet_bus::Client;
use decnet_core::delivery::DeliveryStatus;
use decnet_dispatch::Stats;
use decnet_store::queue::{Detail, Filter, Reader};
use indicatif::ProgressBar;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::figures::{Latency, Throughput};
use super::plan::Plan;
use crate::output::pluralize;

/// The topic of all events to one subscription, by which a receiver can recognise them.
pub(super) const TOPIC: &str = "bench";
/// The topic to which many subscriptions are subscribed.
pub(super) const MANY_TOPIC: &str = "bench.many";
const POLL: Duration = Duration::from_millis(1);

/// The results of the measurements.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) latency: Latency,
    /// The median duration of an attempt at the paced rate.
    pub(super) attempt: Duration,
    pub(super) throughput: Vec<Throughput>,
}

/// Measures a worker that is about to start.
pub(super) struct Driver {
    pub(super) socket: PathBuf,
    /// The directory of the queue.
    pub(super) directory: PathBuf,
    pub(super) plan: Plan,
    pub(super) stats: Arc<Stats>,
    /// Shows the current step if stderr is a terminal.
    pub(super) progress: ProgressBar,
}

impl Driver {
    /// Measures everything, then stops the worker, whose first heartbeat `watcher` receives. Returns `None` if `stop` was
    /// cancelled first.
    pub(super) async fn run(
        self,
        watcher: Client,
        stop: CancellationToken,
    ) -> anyhow::Result<Option<Measured>> {
        let _stop_on_return = stop.clone().drop_guard();
        stop.run_until_cancelled(self.measure(watcher)).await.transpose()
    }

    async fn measure(&self, mut watcher: Client) -> anyhow::Result<Measured> {
        let plan = &self.plan;
        watcher.recv_batch(&mut Vec::new()).await.context("the worker did not start")?;
        drop(watcher);
        self.pace(plan.warm_up, "warming up").await?;
        self.pace(plan.paced, "latency").await?;
        let (latency, attempt) = self.latency().await?;
        let mut throughput = vec![self.throughput(TOPIC, 1).await?];
        if let Some(many) = plan.many {
            throughput.push(self.throughput(MANY_TOPIC, many).await?);
        }
        Ok(Measured { latency, attempt, throughput })
    }

    /// Publishes events at a fixed rate that does not depend on their deliveries.
    async fn pace(&self, events: u32, step: &str) -> anyhow::Result<()> {
        let pace = Pace::PerSecond(self.plan.per_second);
        let load = Load { topics: vec![TOPIC.into()], events: events.into(), fan_out: 1, pace };
        self.deliver(load, step).await.map(drop)
    }

    /// Publishes events as fast as they are delivered.
    async fn throughput(&self, topic: &str, subscriptions: u32) -> anyhow::Result<Throughput> {
        // Without `/proc`, the results have no CPU time.
        let (cpu, begun) = (CpuSample::of(std::process::id()).ok(), Instant::now());
        let (events, fan_out, pace) = (self.plan.events, subscriptions.into(), Pace::For(self.plan.time));
        let load = Load { topics: vec![topic.into()], events, fan_out, pace };
        let deliveries = self.deliver(load, "throughput").await? * fan_out;
        let (time, cpu) = (begun.elapsed(), cpu.and_then(|sample| sample.elapsed().ok()));
        Ok(Throughput::new(subscriptions, deliveries, time, cpu))
    }

    /// Publishes a load and waits until it is delivered. Returns the number of events.
    async fn deliver(&self, load: Load, step: &str) -> anyhow::Result<u64> {
        let before = self.stats.delivered.get();
        let published = load.start(&self.socket)?.finish(POLL, async || {
            self.ensure_no_failures()?;
            let delivered = self.stats.delivered.get() - before;
            self.progress.set_message(format!("{step}: {}", pluralize(delivered, "delivery", "deliveries")));
            self.progress.tick();
            Ok(delivered)
        });
        Ok(published.await?.events)
    }

    /// Computes the latency from the due time of an event to the receiver's response, as recorded in the queue.
    async fn latency(&self) -> anyhow::Result<(Latency, Duration)> {
        let (mut latencies, mut attempts) = (Vec::new(), Vec::new());
        for Detail { listed, body, attempts: made } in self.recorded(self.plan.paced).await? {
            let due = serde_json::from_slice::<Value>(&body)?["payload"]["due_us"].as_i64();
            if let (Some(due), Some(settled)) = (due, listed.settled_at) {
                latencies.push(Duration::from_micros(settled.0.saturating_sub(due).max(0).unsigned_abs()));
            }
            attempts.extend(made.last().map(|attempt| attempt.duration));
        }
        let latency = Latency { per_second: self.plan.per_second, quantiles: Quantiles::of(latencies) };
        Ok((latency, Quantiles::of(attempts).p50))
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

    /// Stops the run at the first failed attempt, to spare the receiver.
    fn ensure_no_failures(&self) -> anyhow::Result<()> {
        if self.stats.retried.get() + self.stats.dead.get() == 0 {
            return Ok(());
        }
        let first = self.first_failure().unwrap_or_else(|| "see the receiver's log".into());
        let delivered = pluralize(self.stats.delivered.get(), "delivery", "deliveries");
        anyhow::bail!("stopped because the receiver failed after {delivered}: {first}")
    }

    fn first_failure(&self) -> Option<String> {
        let reader = Reader::open(&self.directory).ok()?;
        let listed = [DeliveryStatus::Dead, DeliveryStatus::Retrying].into_iter().find_map(|status| {
            let failed = Filter { statuses: vec![status], limit: Some(1), ..Filter::default() };
            reader.list(&failed).ok()?.into_iter().next()
        })?;
        let attempt = reader.get(listed.id).ok()??.attempts.into_iter().next_back()?;
        let reason = attempt.reason.map(|reason| reason.to_string());
        let status = attempt.status.map(|status| format!("status {status}"));
        let parts = [status, reason, attempt.detail.map(String::from)].into_iter().flatten();
        Some(parts.collect::<Vec<_>>().join(", "))
    }
}
