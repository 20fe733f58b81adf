//! Row 11: memory of an idle worker, and memory and disk with many deliveries pending to a receiver that is not there.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, EVERYTHING, TOPIC};
use crate::report::{Figure, Measured, Unit, thousands};
use crate::rig::drive::admit;
use crate::rig::{Load, Pipeline, Wanted, memory};
use crate::targets;

/// A port that nobody listens on: it is privileged, and its service (RFC 863) is gone from the world.
const DEAD: &str = "http://127.0.0.1:9/";
/// After which a worker counts as idle, or at rest again.
const REST: Duration = Duration::from_secs(2);

pub(super) async fn measure(bench: &Bench) -> Result<Measured> {
    let setup = bench.setup(vec![Wanted::new(DEAD, EVERYTHING)], Vec::new());
    let mut pipeline = Pipeline::start(setup).await?;
    tokio::time::sleep(REST).await;
    let idle = memory::of(pipeline.worker.id())?;
    let empty = pipeline.queue_bytes()?.0;
    let pending = bench.plan.pending;
    admit(&mut pipeline, Load::flat_out(TOPIC, pending, 1, u64::MAX)).await?;
    tokio::time::sleep(REST).await;
    let full = memory::of(pipeline.worker.id())?;
    let (file, log) = pipeline.queue_bytes()?;
    let waiting = pipeline.standing()?.waiting;
    let peak = |resident: memory::Resident| format!("peak {}", Unit::Bytes.show(resident.peak as f64));
    let figures = vec![
        Figure::whole("idle", idle.now, Unit::Bytes).beside(peak(idle)).target(targets::IDLE_MEMORY),
        Figure::whole("with many pending", full.now, Unit::Bytes)
            .beside(peak(full))
            .target(targets::PENDING_MEMORY),
        Figure::new("disk for each pending one", (file - empty) as f64 / pending as f64, Unit::Bytes)
            .beside(format!("{}; its log, bounded, {}", show(file), show(log)))
            .target(targets::PENDING_DISK),
        Figure::whole("deliveries lost", pending.abs_diff(waiting), Unit::Count).target(targets::NONE),
    ];
    let notes = vec![format!("{} pending deliveries to one dead receiver", thousands(pending as f64))];
    Ok(Measured { figures, notes, ..Measured::default() })
}

#[expect(clippy::cast_precision_loss, reason = "bytes of a run are far below 2^53")]
fn show(bytes: u64) -> String {
    Unit::Bytes.show(bytes as f64)
}
