//! Row 10: many subscriptions: start-up time, the time until a change takes effect while events flow, and
//! memory.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Bench, TOPIC};
use crate::clock::now_us;
use crate::report::{Figure, Measured, Unit, median, thousands};
use crate::rig::{Load, Pipeline, SubscriptionSpec, drive, memory, signal};
use crate::roles::receiver::{Latencies, Receipts};
use crate::roles::router::pattern;
use crate::targets;

/// Events per second to the changed subscription: one each millisecond, so that the change is timed to the
/// millisecond.
const RATE: u32 = 1000;
/// Time before the first change, between changes, and after the last one.
const PAUSE: Duration = Duration::from_secs(1);

/// Results of the flow of events during the changes.
struct Changed {
    /// Time from each signal to the first delivery by the changed row, in microseconds.
    effective_us: Vec<f64>,
    latencies: Latencies,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let count = bench.plan.subscriptions;
    let url = bench.receiver.url(0, "/to");
    let others = (1..count).map(|n| SubscriptionSpec::new(format!("{url}/{n}"), pattern(n)));
    let watched = SubscriptionSpec::new(bench.receiver.url(0, "/timed"), TOPIC);
    let subscriptions = std::iter::once(watched).chain(others).collect();
    let mut pipeline = Pipeline::start(bench.setup(subscriptions, Vec::new())).await?;
    let first = pipeline.ready_after;
    pipeline.kill_worker();
    pipeline.start_worker(&Vec::new()).await?;
    let again = pipeline.ready_after;
    let quiet = flow(bench, &mut pipeline, 0).await?;
    let changed = flow(bench, &mut pipeline, bench.plan.reloads).await?;
    let resident = memory::of(pipeline.worker.id())?;
    let ready = Figure::new("start-up time", first.max(again).as_micros() as f64, Unit::Micros);
    let longest = changed.effective_us.iter().copied().fold(0.0, f64::max);
    let formatted = [longest, quiet.latencies.max_us as f64].map(|micros| Unit::Micros.format(micros));
    let figures = vec![
        ready
            .detail(format!("with a new queue {}; after a kill {}", show(first), show(again)))
            .target(targets::READY),
        Figure::new("time until a change takes effect", median(changed.effective_us), Unit::Micros)
            .detail(format!("longest of {}: {}", bench.plan.reloads, formatted[0]))
            .target(targets::RELOAD),
        Figure::whole("longest latency during changes", changed.latencies.max_us, Unit::Micros)
            .detail(format!("without changes {}", formatted[1]))
            .target(targets::RELOAD),
        Figure::whole("memory", resident.now, Unit::Bytes)
            .detail(format!("peak {}", Unit::Bytes.format(resident.peak as f64)))
            .target(targets::SUBSCRIPTIONS_MEMORY),
    ];
    let notes = vec![
        format!("{} subscriptions with one pattern each", thousands(count.into())),
        format!("{RATE} events per second to the changed subscription; none lost, none delivered twice"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

/// Publishes events at a fixed rate and meanwhile changes the subscription's URL `changes` times.
async fn flow(bench: &mut Bench, pipeline: &mut Pipeline, changes: u32) -> Result<Changed> {
    let seconds = PAUSE.as_secs() * u64::from(changes + 2);
    let mut client = pipeline.client().await?;
    let urls: Vec<String> = (1..=changes).map(|n| bench.receiver.url(0, &format!("/mark/{n}"))).collect();
    let (mut editor, uuid) = (pipeline.catalog_editor()?, pipeline.uuids[0].clone());
    let change = async {
        let mut signalled_us = Vec::new();
        for url in &urls {
            tokio::time::sleep(PAUSE).await;
            editor.set_url(&uuid, url)?;
            signalled_us.push(now_us());
            signal(&mut client).await?;
        }
        anyhow::Ok(signalled_us)
    };
    let load = Load::per_second(TOPIC, RATE, seconds, 1);
    let (signalled_us, result) = tokio::try_join!(change, drive(pipeline, &mut bench.receiver, load))?;
    ensure!(result.receipts.requests == result.deliveries, "events were lost or delivered twice");
    let effective_us =
        signalled_us.iter().zip(1..).map(|(signalled, n)| effective(&result.receipts, *signalled, n));
    let effective_us = effective_us.collect::<Result<_>>()?;
    Ok(Changed { effective_us, latencies: bench.receiver.latencies().await? })
}

fn show(time: Duration) -> String {
    Unit::Micros.format(time.as_micros() as f64)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a run are far below 2^53")]
fn effective(receipts: &Receipts, signalled_us: u64, change: u32) -> Result<f64> {
    let first =
        receipts.marks.get(&change).with_context(|| format!("change {change} did not take effect"))?;
    Ok(first.saturating_sub(signalled_us) as f64)
}
