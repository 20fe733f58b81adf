//! Row 5: a burst from one client: how fast it is committed, and whether events are lost.

use anyhow::Result;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;

use super::{Bench, TOPIC};
use crate::report::{Figure, Measured, Unit};
use crate::rig::drive::admit;
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let mut pipeline = bench.pipeline_to_receiver(1, "/to").await?;
    let events = bench.plan.burst;
    bench.receiver.reset().await?;
    let seconds = admit(&mut pipeline, Load::flat_out(TOPIC, events, 1, u64::MAX)).await?;
    let delivered = bench.receiver.receipts().await?.requests;
    let counts = pipeline.queue_counts()?;
    let lost = events.abs_diff(counts.delivered + counts.waiting + counts.dead);
    let figures = vec![
        Figure::new("events admitted", events as f64 / seconds, Unit::PerSecond)
            .detail(format!("{:.1} s for {} events", seconds, thousands(events as f64)))
            .target(targets::BURST),
        Figure::whole("events lost", lost, Unit::Count)
            .detail("rows in the queue compared with published events")
            .target(targets::NONE),
    ];
    let notes = vec![format!("{} delivered during the burst", thousands(delivered as f64))];
    Ok(Measured { figures, notes, ..Measured::default() })
}
