//! Allocations per delivery: the worker runs in its own process with a counting allocator.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{ChildStdin, ChildStdout, Stdio};

use anyhow::{Context as _, Result};

use super::process::{Process, eventually};
use super::rig::Rig;
use super::{Counted, Figure};

/// Deliveries that open connections and fill all buffers before counting starts.
const WARM_UP: u64 = 1000;
const DELIVERIES: u64 = 10_000;

/// Counters that the worker reports: deliveries, allocations and bytes so far.
type WorkerCounters = [f64; 3];

struct Worker {
    _process: Process,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

pub(super) fn count() -> Result<Counted> {
    let (mut rig, built) = Rig::start()?;
    let mut command = rig.command(built.executable("example", "counted_worker")?);
    command.arg(rig.directory()).arg(rig.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(&mut command)?;
    let (requests, replies) = (process.0.stdin.take(), process.0.stdout.take());
    let (requests, replies) = (requests.context("no stdin")?, BufReader::new(replies.context("no stdout")?));
    let mut worker = Worker { _process: process, requests, replies };
    rig.wait_for_worker()?;
    let first = worker.counters()?[0];
    rig.deliver(WARM_UP)?;
    let before = worker.counters_after(first + WARM_UP as f64)?;
    rig.deliver(DELIVERIES)?;
    let after = worker.counters_after(before[0] + DELIVERIES as f64)?;
    let each = |at: usize| (after[at] - before[at]) / (after[0] - before[0]);
    Ok(Counted::Figures(vec![
        Figure::new("delivery.allocations", each(1)),
        Figure::new("delivery.allocated_bytes", each(2)),
    ]))
}

impl Worker {
    /// Returns the counters once the worker has made `delivered` deliveries.
    fn counters_after(&mut self, delivered: f64) -> Result<WorkerCounters> {
        let mut counters = self.counters()?;
        eventually("the worker has recorded all replies", || {
            counters = self.counters()?;
            Ok(counters[0] >= delivered)
        })?;
        Ok(counters)
    }

    fn counters(&mut self) -> Result<WorkerCounters> {
        let mut line = String::new();
        writeln!(self.requests)?;
        self.replies.read_line(&mut line)?;
        let figures: Vec<f64> = line.split_ascii_whitespace().flat_map(str::parse).collect();
        figures.try_into().ok().with_context(|| format!("unexpected line from the worker: {line:?}"))
    }
}
