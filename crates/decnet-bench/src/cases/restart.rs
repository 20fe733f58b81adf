//! Row 12: a worker is killed with a backlog; how soon its successor delivers, and how fast.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, EVERYTHING, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT};
use crate::clock::now_us;
use crate::report::{Bar, Figure, Measured, Unit, thousands};
use crate::rig::drive::{admit, drain};
use crate::rig::{Load, Pipeline, Receiver, Wanted, concurrency};
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let backlog = bench.plan.backlog;
    let reference = bench.reference().await?;
    let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
    // Nothing is answered, and nothing fails, until the gate is opened.
    environment.push(("DECNET_WEBHOOK_TIMEOUT", "5m".into()));
    let mut receiver = Receiver::start(bench.path(), 1, None).await?;
    let gate = vec![Wanted::new(receiver.url(0, "/gate"), EVERYTHING)];
    let mut pipeline = Pipeline::start(bench.setup(gate, environment.clone())).await?;
    admit(&mut pipeline, Load::flat_out(TOPIC, backlog, 1, u64::MAX)).await?;
    pipeline.kill_worker();
    receiver.open_gate().await?;
    receiver.reset().await?;
    let exec_us = now_us();
    pipeline.start_worker(&environment).await?;
    let seen = drain(&mut pipeline, &mut receiver, backlog).await?;
    pipeline.settled(backlog).await?;
    ensure!(seen.requests == backlog, "{} requests arrived for {backlog} deliveries", seen.requests);
    let first = seen.first_us.saturating_sub(exec_us);
    let seconds = Duration::from_micros(seen.last_us - seen.first_us).as_secs_f64();
    let (per_second, reference_per_second) = (backlog as f64 / seconds, reference.per_second());
    let shown = [per_second, reference_per_second].map(|rate| Unit::PerSecond.show(rate));
    let figures = vec![
        Figure::whole("from exec to the first delivery", first, Unit::Micros)
            .beside(format!(
                "first heartbeat after {}",
                Unit::Micros.show(pipeline.ready_after.as_micros() as f64)
            ))
            .target(targets::RESTART),
        Figure::new("deliveries of the bare sender's", per_second / reference_per_second, Unit::Ratio)
            .beside(format!("{}; bare {}", shown[0], shown[1]))
            .target(targets::FAN_OUT_1),
    ];
    let notes = vec![format!("{} pending when the worker was killed", thousands(backlog as f64))];
    let bars = vec![Bar { label: "backlog after a restart".into(), per_second, reference_per_second }];
    Ok(Measured { figures, notes, bars, ..Measured::default() })
}
