//! Allocations of a delivery: the worker in a process of its own, with an allocator that counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result};

use super::build::Programs;
use super::process::{Process, eventually};
use super::rig::Rig;
use super::{Counted, Figure};

/// Deliveries that make connections and fill every buffer, before those that count.
const WARM_UP: u64 = 1000;
const DELIVERIES: u64 = 10_000;

/// What the worker says: deliveries, allocations and bytes so far.
#[derive(Debug, Clone, Copy)]
struct Seen([f64; 3]);

struct Worker {
    _process: Process,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

pub(super) fn count() -> Result<Counted> {
    let programs = Programs::build()?;
    let mut rig = Rig::start(&programs.decnet)?;
    let mut command = rig.command(&programs.counted_worker);
    command.arg(rig.directory()).arg(rig.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let (ask, answers) = (process.stdin.take(), process.stdout.take());
    let (ask, answers) = (ask.context("no stdin")?, BufReader::new(answers.context("no stdout")?));
    let mut worker = Worker { _process: process, ask, answers };
    rig.wait_for_worker()?;
    let first = worker.seen()?.0[0];
    rig.deliver(WARM_UP)?;
    let Seen(before) = worker.after(first + WARM_UP as f64)?;
    rig.deliver(DELIVERIES)?;
    let Seen(after) = worker.after(before[0] + DELIVERIES as f64)?;
    let each = |at: usize| (after[at] - before[at]) / (after[0] - before[0]);
    Ok(Counted::Figures(vec![
        Figure::new("delivery.allocations", each(1)),
        Figure::new("delivery.allocated_bytes", each(2)),
    ]))
}

impl Worker {
    /// What it says once it has made so many deliveries.
    fn after(&mut self, delivered: f64) -> Result<Seen> {
        let mut seen = self.seen()?;
        eventually("the worker has noted all answers", || {
            seen = self.seen()?;
            Ok(seen.0[0] >= delivered)
        })?;
        Ok(seen)
    }

    fn seen(&mut self) -> Result<Seen> {
        let mut line = String::new();
        writeln!(self.ask)?;
        self.answers.read_line(&mut line)?;
        let figures: Vec<f64> = line.split_ascii_whitespace().flat_map(str::parse).collect();
        Ok(Seen(figures.try_into().ok().with_context(|| format!("the worker said {line:?}"))?))
    }
}
