//! Row 5: everything at once from one client. How fast it is committed, and whether any of it is lost.

use anyhow::Result;

use super::{Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT};
use crate::report::{Figure, Measured, Unit, thousands};
use crate::rig::drive::admit;
use crate::rig::{Load, Pipeline, concurrency};
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let subscriptions = bench.to_everything(1, "/to");
    let setup = bench.setup(subscriptions, concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT));
    let mut pipeline = Pipeline::start(setup).await?;
    let events = bench.plan.burst;
    bench.receiver.reset().await?;
    let seconds = admit(&mut pipeline, Load::flat_out(TOPIC, events, 1, u64::MAX)).await?;
    let delivered = bench.receiver.seen().await?.requests;
    let standing = pipeline.standing()?;
    let lost = events.abs_diff(standing.delivered + standing.waiting + standing.dead);
    let figures = vec![
        Figure::new("events admitted", events as f64 / seconds, Unit::PerSecond)
            .beside(format!("{:.1} s for {} events", seconds, thousands(events as f64)))
            .target(targets::BURST),
        Figure::whole("events lost", lost, Unit::Count)
            .beside("rows in the queue against what was published")
            .target(targets::NONE),
    ];
    let notes = vec![format!("{} were delivered meanwhile", thousands(delivered as f64))];
    Ok(Measured { figures, notes, ..Measured::default() })
}
