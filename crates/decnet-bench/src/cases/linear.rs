//! Row 13: does a delivery cost more when many are settled, and does removing them show?

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT, WARM_UP};
use crate::report::{Figure, Measured, Unit, median, thousands};
use crate::rig::{Load, Pipeline, Wanted, concurrency, drive};
use crate::roles::receiver::Latencies;
use crate::targets;

/// What goes to one subscription is measured, what goes to ten fills the queue.
const FILL: &str = "fill.event";
const FILL_FAN_OUT: u32 = 10;
/// Runs of which the median counts, before and after.
const RUNS: u64 = 3;
/// Events a second while retention runs.
const RATE: u32 = 1000;
/// Retention begins so long after the worker's start, and again after as long.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// How long before it the measurement begins.
const LEAD: Duration = Duration::from_secs(1);

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut subscriptions = vec![Wanted::new(bench.receiver.url(0, "/timed"), TOPIC)];
    let fill = |n| Wanted::new(bench.receiver.url(0, &format!("/to/{n}")), FILL);
    subscriptions.extend((0..FILL_FAN_OUT).map(fill));
    let setup = bench.setup(subscriptions, concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT));
    let mut pipeline = Pipeline::start(setup).await?;
    drive(&mut pipeline, &mut bench.receiver, Load::flat_out(TOPIC, WARM_UP, 1, bench.plan.ahead)).await?;
    let before = segment(bench, &mut pipeline).await?;
    let settled = bench.plan.settled;
    let load = Load::flat_out(FILL, settled / u64::from(FILL_FAN_OUT), FILL_FAN_OUT.into(), bench.plan.ahead);
    drive(&mut pipeline, &mut bench.receiver, load).await?;
    let after = segment(bench, &mut pipeline).await?;
    let shown = [after, before].map(|rate| Unit::PerSecond.show(rate));
    let ratio = Figure::new("deliveries, of those of an empty queue", after / before, Unit::Ratio);
    let mut measured = Measured::default();
    measured.figures.push(ratio.beside(format!("{}; before {}", shown[0], shown[1])).target(targets::LINEAR));
    measured.notes.push(format!(
        "{} deliveries before and after {} were settled",
        thousands(bench.plan.segment as f64),
        thousands(settled as f64)
    ));
    if bench.plan.retention_seconds > 0 {
        measured.figures.push(retention(bench, &mut pipeline).await?);
    } else {
        measured.notes.push("retention, which begins once a minute, is left out at this size".into());
    }
    Ok(measured)
}

/// Deliveries a second to one subscription.
async fn segment(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let load = Load::flat_out(TOPIC, (bench.plan.segment / RUNS).max(1), 1, bench.plan.ahead);
        rates.push(drive(pipeline, &mut bench.receiver, load).await?.per_second());
    }
    Ok(median(rates))
}

/// The same latency twice: while nothing is removed, and while everything settled is.
async fn retention(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<Figure> {
    let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
    environment.push(("DECNET_WEBHOOK_RETAIN_BYTES", "1MiB".into()));
    pipeline.kill_worker();
    pipeline.start_worker(&environment).await?;
    let started = tokio::time::Instant::now();
    let without = latency(bench, pipeline).await?;
    let there = pipeline.standing()?.delivered;
    tokio::time::sleep_until(started + RETENTION_INTERVAL - LEAD).await;
    let with = latency(bench, pipeline).await?;
    let removed = there.saturating_sub(pipeline.standing()?.delivered);
    ensure!(removed > 0, "retention did not begin when it should");
    let shown = [with.p99_us, without.p99_us].map(|micros| Unit::Micros.show(micros as f64));
    let ratio = with.p99_us as f64 / without.p99_us as f64;
    Ok(Figure::new("p99 while retention runs, of without", ratio, Unit::Ratio)
        .beside(format!("{}; without {}; {} removed", shown[0], shown[1], thousands(removed as f64)))
        .target(targets::RETENTION_P99))
}

async fn latency(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<Latencies> {
    let load = Load::per_second(TOPIC, RATE, bench.plan.retention_seconds, 1);
    drive(pipeline, &mut bench.receiver, load).await?;
    bench.receiver.latencies().await
}
