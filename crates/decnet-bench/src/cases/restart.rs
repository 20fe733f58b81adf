//! Row 12: the worker is killed with a backlog; how soon and how fast its successor delivers.

use std::time::Duration;

use anyhow::{Result, ensure};
use decnet_bench::format::{millis, thousands};
use decnet_bench::load::{Load, now_us};

use super::{ALL_EVENTS, Bench, IN_FLIGHT, TOPIC, TOTAL_IN_FLIGHT};
use crate::report::{Bar, Figure, Measured, Unit};
use crate::rig::drive::{admit, drain};
use crate::rig::{SubscriptionSpec, concurrency};
use crate::roles::receiver::Receiver;
use crate::targets;

pub(super) async fn measure(bench: &mut Bench) -> Result<Measured> {
    let backlog = bench.plan.backlog;
    let reference = bench.reference().await?;
    let mut environment = concurrency(IN_FLIGHT, TOTAL_IN_FLIGHT);
    // Until the gate opens, no request is answered and none fails.
    environment.push(("DECNET_WEBHOOK_TIMEOUT", "5m".into()));
    let mut receiver = Receiver::start(bench.path(), 1, None).await?;
    let gate = [SubscriptionSpec::new(receiver.url(0, "/gate"), ALL_EVENTS)];
    let mut pipeline = bench.pipeline(&gate, &environment).await?;
    admit(&mut pipeline, Load::flat_out(TOPIC, backlog, 1, u64::MAX)).await?;
    pipeline.worker.kill();
    receiver.open_gate().await?;
    receiver.reset().await?;
    let exec_us = now_us();
    pipeline.start_worker(&environment).await?;
    let receipts = drain(&mut pipeline, &mut receiver, backlog).await?;
    pipeline.settled(backlog).await?;
    ensure!(receipts.requests == backlog, "{} requests arrived for {backlog} deliveries", receipts.requests);
    let first = receipts.first_us.saturating_sub(exec_us);
    let seconds = Duration::from_micros(receipts.last_us - receipts.first_us).as_secs_f64();
    let (per_second, reference_per_second) = (backlog as f64 / seconds, reference.per_second());
    let [rate, reference] = [per_second, reference_per_second].map(|rate| Unit::PerSecond.format(rate));
    let figures = vec![
        Figure::whole("time from exec to the first delivery", first, Unit::Micros)
            .detail(format!("first heartbeat after {}", millis(pipeline.ready_after)))
            .target(targets::RESTART),
        Figure::new("throughput ratio to bare sender", per_second / reference_per_second, Unit::Ratio)
            .detail(format!("{rate}; bare sender {reference}"))
            .target(targets::FAN_OUT_1),
    ];
    let notes = vec![format!("{} deliveries pending when the worker was killed", thousands(backlog as f64))];
    let bars = vec![Bar { label: "backlog after restart".into(), per_second, reference_per_second }];
    Ok(Measured { figures, notes, bars, ..Measured::default() })
}
