//! Row 11: memory of an idle worker, and memory and disk with many deliveries pending to a dead receiver.

use std::time::Duration;

use anyhow::Result;

use super::{ALL_EVENTS, Bench, TOPIC};
use crate::report::{Figure, Measured, Unit, thousands};
use crate::rig::drive::admit;
use crate::rig::{Load, Pipeline, SubscriptionSpec, memory};
use crate::targets;

/// URL with a port on which nothing listens: it is privileged, and its service (discard, RFC 863) is no
/// longer in use.
const DEAD_URL: &str = "http://127.0.0.1:9/";
/// Time after which the worker counts as idle.
const IDLE_AFTER: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let setup = bench.setup(vec![SubscriptionSpec::new(DEAD_URL, ALL_EVENTS)], Vec::new());
    let mut pipeline = Pipeline::start(setup).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let idle = memory::of(pipeline.worker.id())?;
    let empty = pipeline.queue_bytes()?.0;
    let pending = bench.plan.pending;
    admit(&mut pipeline, Load::flat_out(TOPIC, pending, 1, u64::MAX)).await?;
    tokio::time::sleep(IDLE_AFTER).await;
    let full = memory::of(pipeline.worker.id())?;
    let (file, log) = pipeline.queue_bytes()?;
    let waiting = pipeline.queue_counts()?.waiting;
    let peak = |resident: memory::Resident| format!("peak {}", Unit::Bytes.format(resident.peak as f64));
    let figures = vec![
        Figure::whole("memory, idle", idle.now, Unit::Bytes).detail(peak(idle)).target(targets::IDLE_MEMORY),
        Figure::whole("memory, many deliveries pending", full.now, Unit::Bytes)
            .detail(peak(full))
            .target(targets::PENDING_MEMORY),
        Figure::new("disk per pending delivery", (file - empty) as f64 / pending as f64, Unit::Bytes)
            .detail(format!("{}; write-ahead log, bounded, {}", show(file), show(log)))
            .target(targets::PENDING_DISK),
        Figure::whole("deliveries lost", pending.abs_diff(waiting), Unit::Count).target(targets::NONE),
    ];
    let notes = vec![format!("{} pending deliveries to one dead receiver", thousands(pending as f64))];
    Ok(Measured { figures, notes, ..Measured::default() })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a run are far below 2^53")]
fn show(bytes: u64) -> String {
    Unit::Bytes.format(bytes as f64)
}
