//! Deliveries per second and their CPU time: in each round the bare sender, then the pipeline.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;
use decnet_bench::cpu::CpuSample;
use decnet_bench::format::thousands;
use decnet_bench::load::Load;

use super::{Bench, TOPIC, WARM_UP, pluralize, progress};
use crate::report::{Bar, Figure, Measured, Rate, Target, Unit, median};
use crate::rig::{Pipeline, drive};
use crate::roles::receiver::Receiver;
use crate::targets;

/// Results of one round.
pub(super) struct Round {
    pub(super) reference: Rate,
    pub(super) subject: Rate,
    /// CPU seconds by thread name.
    threads: BTreeMap<String, f64>,
    bus_cpu: f64,
    receiver_cpu: f64,
    /// Connections that the worker opened during the measurement. A large number means that it does not reuse them.
    connections: u64,
}

/// Measures rows 1 and 2.
pub(super) async fn deliveries(bench: &mut Bench, fan_out: u32) -> Result<Measured> {
    let rounds = rounds(bench, fan_out).await?;
    let target = if fan_out == 1 { targets::FAN_OUT_1 } else { targets::FAN_OUT_10 };
    let mut measured = Measured::default();
    add_ratio(&mut measured, &rounds, &format!("fan-out {fan_out}"), target);
    measured.notes = vec![size(&rounds, fan_out), rounds.last().map_or(String::new(), Round::cpu_by_thread)];
    Ok(measured)
}

/// Measures row 3: the CPU time of rows 1 and 2.
pub(super) async fn cpu(bench: &mut Bench) -> Result<Measured> {
    let mut measured = Measured::default();
    for fan_out in [1, 10] {
        let rounds = rounds(bench, fan_out).await?;
        let over = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
        let ratio = over(|round| round.subject.cpu_per_100k() / round.reference.cpu_per_100k());
        let (worker, bare) = (over(|r| r.subject.cpu_per_100k()), over(|r| r.reference.cpu_per_100k()));
        let bus = over(|round| round.subject.per_100k(round.bus_cpu));
        let what = format!("CPU ratio to bare sender, fan-out {fan_out}");
        let detail =
            format!("{worker:.2} s per 100,000; bare sender {bare:.2} s; bus, not included, {bus:.2} s");
        measured.figures.push(Figure::new(what, ratio, Unit::Ratio).detail(detail).target(targets::CPU));
    }
    measured.notes.push("from the runs of rows 1 and 2".into());
    Ok(measured)
}

/// Adds the median ratio of the rounds as a figure, and the bar of the chart.
pub(super) fn add_ratio(measured: &mut Measured, rounds: &[Round], label: &str, target: Target) {
    let of = |round: &Round| round.subject.per_second() / round.reference.per_second();
    let per_second = median(rounds.iter().map(|round| round.subject.per_second()));
    let reference_per_second = median(rounds.iter().map(|round| round.reference.per_second()));
    let lowest = rounds.iter().map(of).fold(f64::INFINITY, f64::min);
    let highest = rounds.iter().map(of).fold(0.0, f64::max);
    let [rate, bare] = [per_second, reference_per_second].map(|rate| Unit::PerSecond.format(rate));
    let detail = format!("{rate}; bare sender {bare}; ratios {lowest:.2} to {highest:.2}");
    let name = format!("throughput ratio to bare sender, {label}");
    let ratio = Figure::new(name, median(rounds.iter().map(of)), Unit::Ratio);
    measured.figures.push(ratio.detail(detail).target(target));
    measured.bars.push(Bar { label: label.into(), per_second, reference_per_second });
}

/// Returns the rounds of a fan-out. They are measured once and kept for the other rows that need them.
async fn rounds(bench: &mut Bench, fan_out: u32) -> Result<Rc<[Round]>> {
    if let Some(rounds) = bench.throughput.get(&fan_out) {
        return Ok(Rc::clone(rounds));
    }
    let mut rounds = Vec::new();
    for number in 1..=bench.plan.rounds {
        progress(&format!("  fan-out {fan_out}, round {number} of {}", bench.plan.rounds));
        let reference = bench.reference().await?;
        rounds.push(subject(bench, fan_out, reference).await?);
    }
    let rounds: Rc<[Round]> = rounds.into();
    bench.throughput.insert(fan_out, Rc::clone(&rounds));
    Ok(rounds)
}

async fn subject(bench: &mut Bench, fan_out: u32, reference: Rate) -> Result<Round> {
    let mut pipeline = bench.pipeline_to_receiver(fan_out, "/to").await?;
    let events = (bench.plan.deliveries / u64::from(fan_out)).max(1);
    let load = Load::flat_out(TOPIC, events, fan_out.into(), bench.plan.ahead);
    run(&mut pipeline, &mut bench.receiver, load, reference).await
}

/// Warms the pipeline up, then measures a load until its last delivery is settled.
pub(super) async fn run(
    pipeline: &mut Pipeline,
    receiver: &mut Receiver,
    load: Load,
    reference: Rate,
) -> Result<Round> {
    let warm_up = Load { events: WARM_UP.min(load.events), ..load.clone() };
    let warm = drive(pipeline, receiver, warm_up).await?.receipts.requests;
    pipeline.settled(warm).await?;
    let [worker, bus, receiving] =
        [pipeline.worker.id(), pipeline.bus.id(), receiver.id()].map(CpuSample::of);
    let (worker, bus, receiving) = (worker?, bus?, receiving?);
    let result = drive(pipeline, receiver, load).await?;
    pipeline.settled(warm + result.receipts.requests).await?;
    let (worker, mut threads) = (worker.elapsed()?, BTreeMap::new());
    for thread in worker.threads {
        *threads.entry(thread.name).or_default() += thread.cpu_seconds;
    }
    let (deliveries, seconds, cpu_seconds) = (result.receipts.requests, result.seconds, worker.process);
    Ok(Round {
        reference,
        subject: Rate { deliveries, seconds, cpu_seconds },
        threads,
        bus_cpu: bus.elapsed()?.process,
        receiver_cpu: receiving.elapsed()?.process,
        connections: result.receipts.connections,
    })
}

fn size(rounds: &[Round], fan_out: u32) -> String {
    let deliveries = rounds.first().map_or(0, |round| round.subject.deliveries);
    let events = thousands((deliveries / u64::from(fan_out)) as f64);
    let [rounds, to] = [(rounds.len() as u64, "round"), (fan_out.into(), "subscription")]
        .map(|(count, noun)| pluralize(count, noun));
    format!("{rounds} of {events} events to {to}")
}

impl Round {
    /// Returns a note with the worker's CPU time by thread.
    fn cpu_by_thread(&self) -> String {
        let used = self.threads.iter().filter(|(_, seconds)| **seconds > 0.0);
        let formatted =
            used.map(|(name, seconds)| format!("`{name}` {:.2}", self.subject.per_100k(*seconds)));
        format!(
            "worker CPU seconds per 100,000 deliveries in the last round: {}; receiver {:.2}; {} new connections",
            formatted.collect::<Vec<_>>().join(", "),
            self.subject.per_100k(self.receiver_cpu),
            self.connections
        )
    }
}
