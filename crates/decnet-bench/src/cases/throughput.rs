//! How many deliveries a second, and for how much CPU: the bare sender, then the pipeline, round by round.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{BODY_BYTES, Bench, IN_FLIGHT, Options, STUCK};
use crate::report::{Rate, Round, Throughput};
use crate::rig::publisher::{Pace, Plan, Publisher};
use crate::rig::{Pipeline, Process, Setup, cpu};

/// Events that make all connections before the measurement begins.
const WARM_UP: u64 = 2_000;
const POLL: Duration = Duration::from_millis(10);

pub(super) async fn measure(bench: &mut Bench, options: &Options) -> Result<Vec<Throughput>> {
    let mut cases: Vec<Throughput> = [1, 10]
        .into_iter()
        .map(|fan_out| Throughput::new(format!("throughput-{fan_out}"), fan_out))
        .filter(|case| options.wants(&case.name))
        .collect();
    for number in 1..=bench.plan.rounds {
        for case in &mut cases {
            eprint_step(&format!("{}, round {number} of {}", case.name, bench.plan.rounds));
            let reference = reference(bench).await?;
            let events = options.events.unwrap_or(bench.plan.deliveries) / u64::from(case.fan_out);
            case.rounds.push(subject(bench, case.fan_out, events.max(1), reference).await?);
        }
    }
    Ok(cases)
}

#[expect(clippy::print_stderr, reason = "a long run says how far it is")]
pub(super) fn eprint_step(step: &str) {
    eprintln!("{step}");
}

/// The bare sender, in a process of its own.
async fn reference(bench: &mut Bench) -> Result<Rate> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("bare-sender").args(["--receiver", &bench.receiver.address.to_string()]);
    command.args(["--requests", &bench.plan.reference_requests.to_string()]);
    command.args(["--connections", &IN_FLIGHT.to_string(), "--body-bytes", &BODY_BYTES.to_string()]);
    let process = Process::start("bare-sender", &mut command, bench.directory.path())?;
    let said = process.finish(Duration::from_secs(600)).await?;
    serde_json::from_str(&said).context("the bare sender said what cannot be read")
}

async fn subject(bench: &mut Bench, fan_out: u32, events: u64, reference: Rate) -> Result<Round> {
    let setup = Setup {
        program: &bench.program,
        parent: bench.directory.path(),
        receiver: bench.receiver.address,
        path: "/to/",
        fan_out,
        in_flight: IN_FLIGHT,
    };
    let mut pipeline = Pipeline::start(&setup).await?;
    publish(bench, &mut pipeline, WARM_UP, fan_out).await?;
    let warm = settled(&pipeline, WARM_UP * u64::from(fan_out)).await?;
    let worker_before = cpu::of(pipeline.worker.id())?;
    let others_before = [cpu::of(pipeline.bus.id())?, cpu::of(bench.receiver.id())?];
    let threads_before = cpu::of_threads(pipeline.worker.id())?;
    let (deliveries, seconds) = publish(bench, &mut pipeline, events, fan_out).await?;
    settled(&pipeline, warm + deliveries).await?;
    let cpu_seconds = cpu::of(pipeline.worker.id())? - worker_before;
    let others = [cpu::of(pipeline.bus.id())?, cpu::of(bench.receiver.id())?];
    let mut threads = cpu::of_threads(pipeline.worker.id())?;
    threads.iter_mut().for_each(|(name, used)| *used -= threads_before.get(name).unwrap_or(&0.0));
    let seen = bench.receiver.seen().await?;
    Ok(Round {
        reference,
        subject: Rate { deliveries, seconds, cpu_seconds },
        worker_threads_cpu_seconds: threads,
        bus_cpu_seconds: others[0] - others_before[0],
        receiver_cpu_seconds: others[1] - others_before[1],
        mean_body_bytes: seen.body_bytes / seen.requests.max(1),
        connections: seen.connections,
    })
}

/// Publishes, and waits until everything has arrived: exactly as much as was owed. How much, and how long it took.
async fn publish(
    bench: &mut Bench,
    pipeline: &mut Pipeline,
    events: u64,
    fan_out: u32,
) -> Result<(u64, f64)> {
    bench.receiver.reset().await?;
    let (owed, received) = (events * u64::from(fan_out), Arc::new(AtomicU64::new(0)));
    let pace = Pace::FlatOut { received: Arc::clone(&received), ahead: bench.plan.ahead };
    let plan = Plan { socket: pipeline.socket.clone(), events, body_bytes: BODY_BYTES, pace };
    let publisher = Publisher::start(plan)?;
    let (mut last, mut progress_at) = (0, Instant::now());
    while last < owed {
        pipeline.must_live()?;
        let seen = bench.receiver.seen().await?.requests;
        received.store(seen / u64::from(fan_out), Ordering::Relaxed);
        if seen > last {
            (last, progress_at) = (seen, Instant::now());
        }
        ensure!(
            progress_at.elapsed() < STUCK,
            "{seen} of {owed} deliveries arrived, then none for {STUCK:?}"
        );
        tokio::time::sleep(POLL).await;
    }
    let begun_us = publisher.join()?;
    let seen = bench.receiver.seen().await?;
    ensure!(seen.requests == owed, "{} requests arrived for {owed} deliveries", seen.requests);
    let micros = seen.last_us.saturating_sub(begun_us);
    Ok((owed, Duration::from_micros(micros).as_secs_f64()))
}

/// Waits until the queue says that all is delivered and nothing else is in it.
async fn settled(pipeline: &Pipeline, owed: u64) -> Result<u64> {
    let begun = Instant::now();
    loop {
        match pipeline.delivered()? {
            (delivered, false) if delivered == owed => return Ok(owed),
            (delivered, others) if begun.elapsed() > STUCK => {
                bail!("the queue says {delivered} of {owed} delivered; unfinished or dead ones: {others}")
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}
