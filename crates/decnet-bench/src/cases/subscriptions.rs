//! Row 10: a large table of subscriptions: the start with it, a change of one of them while events flow, memory.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, TOPIC};
use crate::clock::now_us;
use crate::report::{Figure, Measured, Unit, median, thousands};
use crate::rig::{Load, Pipeline, Wanted, drive, memory, signal};
use crate::roles::receiver::{Latencies, Seen};
use crate::roles::router::pattern;
use crate::targets;

/// Events a second to the subscription that is changed, so that a change is seen to the millisecond.
const RATE: u32 = 1000;
/// Before the first change, between two, and after the last one.
const PAUSE: Duration = Duration::from_secs(1);

/// The flow through the changes.
struct Changed {
    /// From each signal to the first delivery by the changed row, in microseconds.
    effective_us: Vec<f64>,
    latencies: Latencies,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let count = bench.plan.subscriptions;
    let url = bench.receiver.url(0, "/to");
    let others = (1..count).map(|n| Wanted::new(format!("{url}/{n}"), pattern(n)));
    let watched = Wanted::new(bench.receiver.url(0, "/timed"), TOPIC);
    let subscriptions = std::iter::once(watched).chain(others).collect();
    let mut pipeline = Pipeline::start(bench.setup(subscriptions, Vec::new())).await?;
    let first = pipeline.ready_after;
    pipeline.kill_worker();
    pipeline.start_worker(&Vec::new()).await?;
    let again = pipeline.ready_after;
    let quiet = flow(bench, &mut pipeline, 0).await?;
    let changed = flow(bench, &mut pipeline, bench.plan.reloads).await?;
    let resident = memory::of(pipeline.worker.id())?;
    let ready = Figure::new("start until ready", first.max(again).as_micros() as f64, Unit::Micros);
    let longest = changed.effective_us.iter().copied().fold(0.0, f64::max);
    let shown = [longest, quiet.latencies.max_us as f64].map(|micros| Unit::Micros.show(micros));
    let figures = vec![
        ready
            .beside(format!("with a new queue {}; after a kill {}", show(first), show(again)))
            .target(targets::READY),
        Figure::new("a change takes effect after", median(changed.effective_us), Unit::Micros)
            .beside(format!("longest of {}: {}", bench.plan.reloads, shown[0]))
            .target(targets::RELOAD),
        Figure::whole("longest delay of an event meanwhile", changed.latencies.max_us, Unit::Micros)
            .beside(format!("without a change {}", shown[1]))
            .target(targets::RELOAD),
        Figure::whole("memory", resident.now, Unit::Bytes)
            .beside(format!("peak {}", Unit::Bytes.show(resident.peak as f64)))
            .target(targets::SUBSCRIPTIONS_MEMORY),
    ];
    let notes = vec![
        format!("{} subscriptions with a pattern each", thousands(count.into())),
        format!("{RATE} events a second to the one that is changed, none lost, none twice"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

/// Events at a fixed rate, and so many changes of the URL that they go to.
async fn flow(bench: &mut Bench, pipeline: &mut Pipeline, changes: u32) -> Result<Changed> {
    let seconds = PAUSE.as_secs() * u64::from(changes + 2);
    let mut client = pipeline.client().await?;
    let urls: Vec<String> = (1..=changes).map(|n| bench.receiver.url(0, &format!("/mark/{n}"))).collect();
    let (mut changer, uuid) = (pipeline.changer()?, pipeline.uuids[0].clone());
    let change = async {
        let mut told_us = Vec::new();
        for url in &urls {
            tokio::time::sleep(PAUSE).await;
            changer.redirect(&uuid, url)?;
            told_us.push(now_us());
            signal(&mut client).await?;
        }
        anyhow::Ok(told_us)
    };
    let load = Load::per_second(TOPIC, RATE, seconds, 1);
    let (told_us, arrived) = tokio::try_join!(change, drive(pipeline, &mut bench.receiver, load))?;
    ensure!(arrived.seen.requests == arrived.deliveries, "events were lost or came twice");
    let effective_us = told_us.iter().zip(1..).map(|(told, n)| effective(&arrived.seen, *told, n));
    let effective_us = effective_us.collect::<Result<_>>()?;
    Ok(Changed { effective_us, latencies: bench.receiver.latencies().await? })
}

fn show(time: Duration) -> String {
    Unit::Micros.show(time.as_micros() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a run are far below 2^53")]
fn effective(seen: &Seen, told_us: u64, change: u32) -> Result<f64> {
    let first = seen.marks.get(&change).with_context(|| format!("change {change} never took effect"))?;
    Ok(first.saturating_sub(told_us) as f64)
}
