//! Row 16: row 1 with open pages of the dashboard, and without them.

use std::time::Instant;

use anyhow::Result;
use decnet_bench::cpu::CpuSample;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;

use super::throughput::{Round, run};
use super::{Bench, TOPIC, pluralize, progress};
use crate::report::{Figure, Measured, Rate, Unit, median};
use crate::rig::Viewers;
use crate::targets;

/// The number of open pages.
const PAGES: usize = 100;

/// A round without open pages, and one with them.
struct Pair {
    without: Rate,
    with: Rate,
    /// The CPU time of the API's process, relative to that of the worker.
    api: f64,
    /// Refreshes of all pages per second, and their average size in bytes.
    refreshes: f64,
    bytes: f64,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut pairs = Vec::new();
    for number in 1..=bench.plan.rounds {
        progress(&format!("  round {number} of {}", bench.plan.rounds));
        pairs.push(pair(bench).await?);
    }
    let over = |figure: fn(&Pair) -> f64| median(pairs.iter().map(figure));
    let cpu = over(|pair| pair.with.cpu_per_100k() / pair.without.cpu_per_100k());
    let rate = over(|pair| pair.with.per_second() / pair.without.per_second());
    let [with, without] = [over(|pair| pair.with.per_second()), over(|pair| pair.without.per_second())]
        .map(|rate| Unit::PerSecond.format(rate));
    let [per_second, bytes] = [over(|pair| pair.refreshes), over(|pair| pair.bytes)].map(thousands);
    let figures = vec![
        Figure::new(
            format!("worker CPU per delivery with {PAGES} open pages, relative to none"),
            cpu,
            Unit::Ratio,
        )
        .target(targets::OPEN_PAGES_CPU),
        Figure::new(format!("throughput with {PAGES} open pages, relative to none"), rate, Unit::Ratio)
            .detail(format!("{with}; without {without}")),
        Figure::new(
            "CPU of the API for these pages, relative to the worker's",
            over(|pair| pair.api),
            Unit::Ratio,
        )
        .detail(format!("{per_second} refreshes per second with {bytes} bytes each")),
    ];
    let (rounds, events) = (pluralize(pairs.len() as u64, "round"), thousands(bench.plan.deliveries as f64));
    let notes = vec![format!(
        "{rounds} of {events} events to one subscription; `decnet api` is a process of its own"
    )];
    Ok(Measured { figures, notes, ..Measured::default() })
}

async fn pair(bench: &mut Bench) -> Result<Pair> {
    let load = Load::flat_out(TOPIC, bench.plan.deliveries, 1, bench.plan.ahead);
    let mut pipeline = bench.pipeline_to_receiver(1, "/to").await?;
    let _idle = pipeline.start_api().await?;
    let without = run(&mut pipeline, &mut bench.receiver, load.clone(), Rate::default()).await?.subject;
    drop(pipeline);

    let mut pipeline = bench.pipeline_to_receiver(1, "/to").await?;
    let (api, address) = pipeline.start_api().await?;
    let mut viewers = Viewers::open(&pipeline, address, PAGES).await?;
    let (cpu, begun, before) = (CpuSample::of(api.id())?, Instant::now(), viewers.refreshes()?);
    let Round { subject: with, .. } = run(&mut pipeline, &mut bench.receiver, load, Rate::default()).await?;
    let (seconds, after) = (begun.elapsed().as_secs_f64(), viewers.refreshes()?);
    let (refreshes, bytes) = ((after.0 - before.0) as f64, (after.1 - before.1) as f64);
    // The API was measured during the warm-up too.
    let api = cpu.elapsed()?.process * with.seconds / seconds;
    Ok(Pair {
        without,
        api: api / with.cpu_seconds,
        with,
        refreshes: refreshes / seconds,
        bytes: bytes / refreshes.max(1.0),
    })
}
