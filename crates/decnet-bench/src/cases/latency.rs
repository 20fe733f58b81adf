//! Row 4: the time from the moment at which an event is due to its receipt, at fixed rates that do not wait for deliveries.

use anyhow::Result;
use decnet_bench::format::{millis, thousands};
use decnet_bench::load::Load;

use super::{Bench, TOPIC};
use crate::report::{Curve, Figure, Measured, Unit};
use crate::rig::drive;
use crate::targets;

/// Events per second.
const RATES: [u32; 2] = [100, 1000];
/// Seconds of warm-up at the same rate.
const WARM_UP_SECONDS: u64 = 1;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut measured = Measured::default();
    for rate in RATES {
        at(bench, rate, &mut measured).await?;
    }
    measured.notes.insert(0, format!("{} s at each rate", bench.plan.latency_seconds));
    Ok(measured)
}

async fn at(bench: &mut Bench, rate: u32, measured: &mut Measured) -> Result<()> {
    let disk = bench.fdatasync()?;
    let mut pipeline = bench.pipeline_to_receiver(1, "/timed").await?;
    let load = |seconds| Load::per_second(TOPIC, rate, seconds, 1);
    drive(&mut pipeline, &mut bench.receiver, load(WARM_UP_SECONDS)).await?;
    let result = drive(&mut pipeline, &mut bench.receiver, load(bench.plan.latency_seconds)).await?;
    let latencies = bench.receiver.latencies().await?;
    let label = format!("{}/s", thousands(rate.into()));
    let figures = [
        ("p50", latencies.p50_us, disk.p50, targets::LATENCY_P50),
        ("p99", latencies.p99_us, disk.p99, targets::LATENCY_P99),
    ];
    measured.figures.extend(figures.map(|(what, micros, disk, target)| {
        let figure = Figure::whole(format!("{what} at {label}"), micros, Unit::Micros);
        figure.detail(format!("fdatasync {what} {}", millis(disk))).target(target)
    }));
    measured.notes.push(format!(
        "at {label} the longest latency was {}, and the publisher's own delay {} (p99)",
        Unit::Micros.format_whole(latencies.max_us),
        millis(result.published.late.p99)
    ));
    measured.curves.push(Curve { label, points: latencies.curve });
    Ok(())
}
