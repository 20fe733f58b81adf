//! Row 10: many subscriptions: start-up time, the time until a change takes effect while events flow, and memory.

use std::time::Duration;

use anyhow::{Context as _, Result};
use decnet_bench::format::{millis, thousands};
use decnet_bench::load::{Load, now_us};
use decnet_bench::receiver::Latencies;
use decnet_core::redact::EndpointUrl;
use decnet_runtime::clock::now;
use decnet_store::catalog::Patch;

use super::{Bench, TOPIC};
use crate::report::{Figure, Measured, Unit, median};
use crate::rig::machine::memory_of;
use crate::rig::{Pipeline, SubscriptionSpec, drive, signal};
use crate::roles::router::pattern;
use crate::targets;

/// Events per second to the changed subscription: one each millisecond, so that the change is timed to the millisecond.
const RATE: u32 = 1000;
/// Time before the first change, between changes, and after the last change.
const PAUSE: Duration = Duration::from_secs(1);

/// Measurements of the event flow while the subscription is changed.
struct ChangeResults {
    /// Time from each signal to the first delivery by the changed row, in microseconds.
    effective_us: Vec<f64>,
    latencies: Latencies,
}

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let count = bench.plan.subscriptions;
    let url = bench.receiver.url(0, "/to");
    let others = (1..count).map(|n| SubscriptionSpec::new(format!("{url}/{n}"), pattern(n)));
    let watched = SubscriptionSpec::new(bench.receiver.url(0, "/timed"), TOPIC);
    let subscriptions: Vec<_> = std::iter::once(watched).chain(others).collect();
    let mut pipeline = bench.pipeline(&subscriptions, &Vec::new()).await?;
    let first = pipeline.ready_after;
    pipeline.worker.kill();
    pipeline.start_worker(&Vec::new()).await?;
    let again = pipeline.ready_after;
    let quiet = flow(bench, &mut pipeline, 0).await?;
    let changed = flow(bench, &mut pipeline, bench.plan.reloads).await?;
    let resident = memory_of(pipeline.worker.id())?;
    let longest = changed.effective_us.iter().copied().fold(0.0, f64::max);
    let figures = vec![
        Figure::new("start-up time", first.max(again).as_micros() as f64, Unit::Micros)
            .detail(format!("with a new queue {}; after a kill {}", millis(first), millis(again)))
            .target(targets::READY),
        Figure::new("time until a change takes effect", median(changed.effective_us), Unit::Micros)
            .detail(format!("longest of {}: {}", bench.plan.reloads, Unit::Micros.format(longest)))
            .target(targets::RELOAD),
        Figure::whole("longest latency during changes", changed.latencies.max_us, Unit::Micros)
            .detail(format!("without changes {}", Unit::Micros.format_whole(quiet.latencies.max_us)))
            .target(targets::RELOAD),
        Figure::whole("memory", resident.now, Unit::Bytes)
            .detail(format!("peak {}", Unit::Bytes.format_whole(resident.peak)))
            .target(targets::SUBSCRIPTIONS_MEMORY),
    ];
    let notes = vec![
        format!("{} subscriptions with one pattern each", thousands(count.into())),
        format!("{RATE} events per second to the changed subscription; none lost, none delivered twice"),
    ];
    Ok(Measured { figures, notes, ..Measured::default() })
}

/// Publishes events at a fixed rate and meanwhile changes the subscription's URL `changes` times.
async fn flow(bench: &mut Bench, pipeline: &mut Pipeline, changes: u32) -> Result<ChangeResults> {
    let seconds = PAUSE.as_secs() * u64::from(changes + 2);
    let mut client = pipeline.client().await?;
    let urls: Vec<String> = (1..=changes).map(|n| bench.receiver.url(0, &format!("/mark/{n}"))).collect();
    let (mut catalog, uuid) = (pipeline.catalog()?, pipeline.uuids[0].clone());
    let change = async {
        let mut signalled_us = Vec::new();
        for url in &urls {
            tokio::time::sleep(PAUSE).await;
            let patch = Patch { url: Some(EndpointUrl::new(url)?), ..Patch::default() };
            catalog.update(&uuid, &patch, now())?;
            signalled_us.push(now_us());
            signal(&mut client).await?;
        }
        anyhow::Ok(signalled_us)
    };
    let load = Load::per_second(TOPIC, RATE, seconds, 1);
    let (signalled_us, result) = tokio::try_join!(change, drive(pipeline, &mut bench.receiver, load))?;
    let effective_us = signalled_us.iter().zip(1..).map(|(signalled_us, change)| {
        let first_us = result.receipts.marks.get(&change);
        let first_us = first_us.with_context(|| format!("change {change} did not take effect"))?;
        anyhow::Ok(first_us.saturating_sub(*signalled_us) as f64)
    });
    let effective_us = effective_us.collect::<Result<_>>()?;
    Ok(ChangeResults { effective_us, latencies: bench.receiver.latencies().await? })
}
