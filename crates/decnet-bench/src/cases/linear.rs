//! Row 13: whether deliveries get slower when many are settled, and whether removing settled deliveries adds latency.

use std::time::Duration;

use anyhow::{Result, ensure};
use decnet_bench::format::thousands;
use decnet_bench::load::Load;
use decnet_bench::receiver::Latencies;

use super::{Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT, WARM_UP};
use crate::report::{Figure, Measured, Unit, median};
use crate::rig::{Pipeline, SubscriptionSpec, concurrency, drive};
use crate::targets;

/// Topic that fills the queue through ten subscriptions. The measured events have another topic, with one subscription.
const FILL: &str = "fill.event";
const FILL_FAN_OUT: u32 = 10;
/// Runs before and after filling; their median is reported.
const RUNS: u64 = 3;
/// Events per second while retention runs.
const RATE: u32 = 1000;
/// Time from the start of the worker to the first retention pass, and between passes.
const RETENTION_INTERVAL: Duration = Duration::from_secs(60);
/// Time by which the measurement starts before retention.
const LEAD: Duration = Duration::from_secs(1);

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut subscriptions = vec![SubscriptionSpec::new(bench.receiver.url(0, "/timed"), TOPIC)];
    let fill = |n| SubscriptionSpec::new(bench.receiver.url(0, &format!("/to/{n}")), FILL);
    subscriptions.extend((0..FILL_FAN_OUT).map(fill));
    let mut pipeline = bench.pipeline(&subscriptions, &concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT)).await?;
    drive(&mut pipeline, &mut bench.receiver, Load::flat_out(TOPIC, WARM_UP, 1, bench.plan.ahead)).await?;
    let before = segment(bench, &mut pipeline).await?;
    let settled = bench.plan.settled;
    let load = Load::flat_out(FILL, settled / u64::from(FILL_FAN_OUT), FILL_FAN_OUT.into(), bench.plan.ahead);
    drive(&mut pipeline, &mut bench.receiver, load).await?;
    let after = segment(bench, &mut pipeline).await?;
    let ratio = Figure::new("throughput, ratio to an empty queue", after / before, Unit::Ratio);
    let [after, before] = [after, before].map(|rate| Unit::PerSecond.format(rate));
    let mut measured = Measured::default();
    measured.figures.push(ratio.detail(format!("{after}; before {before}")).target(targets::LINEAR));
    measured.notes.push(format!(
        "{} deliveries before and after {} were settled",
        thousands(bench.plan.segment as f64),
        thousands(settled as f64)
    ));
    if bench.plan.retention_seconds > 0 {
        measured.figures.push(retention(bench, &mut pipeline).await?);
    } else {
        measured.notes.push("retention, which starts once a minute, is not measured at this size".into());
    }
    Ok(measured)
}

/// Measures deliveries per second to one subscription.
async fn segment(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<f64> {
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let load = Load::flat_out(TOPIC, (bench.plan.segment / RUNS).max(1), 1, bench.plan.ahead);
        rates.push(drive(pipeline, &mut bench.receiver, load).await?.per_second());
    }
    Ok(median(rates))
}

/// Measures latency twice: without retention, and while retention removes all settled deliveries.
async fn retention(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<Figure> {
    let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
    environment.push(("DECNET_WEBHOOK_RETAIN_BYTES", "1MiB".into()));
    pipeline.worker.kill();
    pipeline.start_worker(&environment).await?;
    let started = tokio::time::Instant::now();
    let without = latency(bench, pipeline).await?;
    let before = pipeline.queue_counts()?.delivered;
    tokio::time::sleep_until(started + RETENTION_INTERVAL - LEAD).await;
    let with = latency(bench, pipeline).await?;
    let removed = before.saturating_sub(pipeline.queue_counts()?.delivered);
    ensure!(removed > 0, "retention did not start at its interval");
    let ratio = with.p99_us as f64 / without.p99_us as f64;
    let [with, without] = [with, without].map(|latencies| Unit::Micros.format_whole(latencies.p99_us));
    Ok(Figure::new("p99 during retention, ratio to p99 without", ratio, Unit::Ratio)
        .detail(format!("{with}; without {without}; {} removed", thousands(removed as f64)))
        .target(targets::RETENTION_P99))
}

async fn latency(bench: &mut Bench, pipeline: &mut Pipeline) -> Result<Latencies> {
    let load = Load::per_second(TOPIC, RATE, bench.plan.retention_seconds, 1);
    drive(pipeline, &mut bench.receiver, load).await?;
    bench.receiver.latencies().await
}
