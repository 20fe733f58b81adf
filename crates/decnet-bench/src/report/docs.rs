//! `docs/benchmarks.md`: what is measured and how, and what one run has seen.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{Report, table};

const PATH: &str = "docs/benchmarks.md";
const INTRODUCTION: &str = include_str!("introduction.md");

/// Writes the page anew, in the repository that the program is started in.
pub(crate) fn write(report: &Report) -> Result<()> {
    let docs = Path::new(PATH);
    std::fs::write(docs, page(report))
        .with_context(|| format!("{PATH} cannot be written; is this the repository?"))
}

fn page(report: &Report) -> String {
    let machine = &report.machine;
    let length = if report.quick { "`--quick`: short runs, so rough figures" } else { "full runs" };
    let rounds = report.throughput.iter().map(|case| case.rounds.len()).max().unwrap_or(0);
    format!(
        "{INTRODUCTION}
## What was seen

{at}, {length}, {rounds} rounds. Processor: {cpu}, {cores} cores. Linux {kernel}. Load average just before the
run: {load} (anything else that ran took its share from all of this).

{throughput}
{cpu_table}
{latency}
{threads}",
        at = report.at,
        cpu = machine.cpu,
        cores = machine.cores,
        kernel = machine.kernel,
        load = machine.load,
        throughput = table::throughput(report),
        cpu_table = table::cpu(report),
        latency = table::latency(report),
        threads = threads(report),
    )
}

/// Where the worker's CPU goes, of the last round of each case.
fn threads(report: &Report) -> String {
    let mut text =
        String::from("CPU of the worker by thread, last round, seconds per 100,000 deliveries:\n\n");
    for case in &report.throughput {
        let Some(round) = case.rounds.last() else { continue };
        let used = round.worker_threads_cpu_seconds.iter().filter(|(_, seconds)| **seconds > 0.0);
        let shown =
            used.map(|(name, seconds)| format!("`{name}` {:.2}", super::per_100k(*seconds, &round.subject)));
        let shown = shown.collect::<Vec<_>>().join(", ");
        text += &format!(
            "- {}: {shown}; beside it the receiver {:.2}; {} new connections\n",
            case.name,
            super::per_100k(round.receiver_cpu_seconds, &round.subject),
            round.connections
        );
    }
    text
}
