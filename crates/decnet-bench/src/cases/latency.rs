//! How long from the moment an event was due to its receipt, at a fixed rate that waits for nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::throughput::eprint_step;
use super::{BODY_BYTES, Bench, IN_FLIGHT, Options, STUCK};
use crate::report::{Latency, Quantiles};
use crate::rig::publisher::{Pace, Plan, Publisher};
use crate::rig::{Pipeline, Setup, disk};
use crate::roles::receiver::TIMED;

const POLL: Duration = Duration::from_millis(20);
/// Seconds of the warm-up at the same rate.
const WARM_UP: u64 = 1;

pub(super) async fn measure(bench: &mut Bench, options: &Options) -> Result<Vec<Latency>> {
    let mut measured = Vec::new();
    for per_second in [100, 1000] {
        let name = format!("latency-{per_second}");
        if options.wants(&name) {
            eprint_step(&name);
            measured.push(at(bench, name, per_second).await?);
        }
    }
    Ok(measured)
}

async fn at(bench: &mut Bench, name: String, per_second: u32) -> Result<Latency> {
    let fdatasync = disk::fdatasync(bench.directory.path(), bench.plan.fdatasyncs)?;
    let setup = Setup {
        program: &bench.program,
        parent: bench.directory.path(),
        receiver: bench.receiver.address,
        path: TIMED,
        fan_out: 1,
        in_flight: IN_FLIGHT,
    };
    let mut pipeline = Pipeline::start(&setup).await?;
    run(bench, &mut pipeline, per_second, WARM_UP).await?;
    let latency = run(bench, &mut pipeline, per_second, bench.plan.latency_seconds).await?;
    Ok(Latency { name, per_second, latency, fdatasync })
}

async fn run(bench: &mut Bench, pipeline: &mut Pipeline, per_second: u32, seconds: u64) -> Result<Quantiles> {
    bench.receiver.reset().await?;
    let (events, pace) = (u64::from(per_second) * seconds, Pace::PerSecond(per_second));
    let plan = Plan { socket: pipeline.socket.clone(), events, body_bytes: BODY_BYTES, pace };
    let publisher = Publisher::start(plan)?;
    while !publisher.is_done() {
        pipeline.must_live()?;
        tokio::time::sleep(POLL).await;
    }
    publisher.join()?;
    let published_at = Instant::now();
    loop {
        let seen = bench.receiver.seen().await?;
        if seen.requests == events {
            let (p50_us, p99_us, max_us) = (seen.p50_us, seen.p99_us, seen.max_us);
            return Ok(Quantiles { count: events, p50_us, p99_us, max_us });
        }
        ensure!(seen.requests < events, "{} requests arrived for {events} events", seen.requests);
        ensure!(published_at.elapsed() < STUCK, "{} of {events} events arrived", seen.requests);
        tokio::time::sleep(POLL).await;
    }
}
