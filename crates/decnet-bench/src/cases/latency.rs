//! Row 4: from the moment an event was due to its receipt, at fixed rates that wait for nothing.

use anyhow::Result;

use super::{Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT};
use crate::report::{Curve, Figure, Measured, Unit, thousands};
use crate::rig::{Load, Pipeline, concurrency, drive};
use crate::targets;

/// Events a second.
const RATES: [u32; 2] = [100, 1000];
/// Seconds of the warm-up at the same rate.
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
    let subscriptions = bench.to_everything(1, "/timed");
    let setup = bench.setup(subscriptions, concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT));
    let mut pipeline = Pipeline::start(setup).await?;
    let load = |seconds| Load::per_second(TOPIC, rate, seconds, 1);
    drive(&mut pipeline, &mut bench.receiver, load(WARM_UP_SECONDS)).await?;
    let arrived = drive(&mut pipeline, &mut bench.receiver, load(bench.plan.latency_seconds)).await?;
    let seen = bench.receiver.latencies().await?;
    let label = format!("{}/s", thousands(rate.into()));
    let figures = [
        ("p50", seen.p50_us, disk.p50_us, targets::LATENCY_P50),
        ("p99", seen.p99_us, disk.p99_us, targets::LATENCY_P99),
    ];
    measured.figures.extend(figures.map(|(what, micros, disk, target)| {
        let figure = Figure::whole(format!("{what} at {label}"), micros, Unit::Micros);
        figure.beside(format!("fdatasync {what} {:.2} ms", disk as f64 / 1e3)).target(target)
    }));
    measured.notes.push(format!(
        "at {label} the longest took {}, and the publisher itself was up to {} late (p99)",
        Unit::Micros.show(seen.max_us as f64),
        Unit::Micros.show(arrived.published.late_p99_us as f64)
    ));
    measured.curves.push(Curve { label, points: seen.curve });
    Ok(())
}
