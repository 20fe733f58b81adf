//! The measurements. [`ROWS`] lists them; reference and subject alternate, so that both see the machine in the same state.

mod bench;
mod burst;
mod dashboard;
mod destination;
mod isolation;
mod latency;
mod linear;
mod memory;
mod receivers;
mod restart;
mod routing;
mod rows;
mod subscriptions;
mod throughput;
mod tls;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};

use self::bench::Bench;
pub(crate) use self::rows::{ROWS, Row};
use crate::options::Options;
use crate::report::{self, Measured, Record, Report};
use crate::rig::machine;

/// Connections of the bare sender, and requests in flight to one subscription.
const IN_FLIGHT: usize = 64;
/// Requests in flight across all subscriptions.
const TOTAL_IN_FLIGHT: usize = 256;
/// Prefix of every event's topic, and the pattern that matches all of them.
const TOPIC: &str = "bench.event";
const ALL_EVENTS: &str = "bench.>";
/// Events of the warm-up, which opens all connections.
const WARM_UP: u64 = 2_000;
/// Maximum time of a row; a row that takes longer is stuck.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Measures the selected rows and prints the report. A failed row does not stop the others.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let rows = options.rows()?;
    machine::raise_file_limit()?;
    let mut bench = Bench::prepare(options).await?;
    let mut report = Report::default();
    for row in rows {
        report.rows.push(record(&mut bench, row).await);
    }
    if options.write_docs {
        report::write_docs(&report)?;
    }
    report::print(&report, options.json)?;
    Ok(if report.has_failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn record(bench: &mut Bench, row: &Row) -> Record {
    progress(&format!("{} {}", row.number, row.name));
    let (at, load) = (jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(), machine::load());
    let measured = tokio::time::timeout(TIMEOUT, measure(bench, row.number)).await;
    let measured = measured.context("the row did not finish in time").flatten();
    let error = measured.as_ref().err().map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        progress(&format!("{} {} failed: {error}", row.number, row.name));
    }
    Record {
        number: row.number,
        name: row.name.into(),
        title: row.title.into(),
        at,
        size: bench.plan.size,
        machine: machine::describe(),
        load,
        measured: measured.unwrap_or_default(),
        error,
    }
}

async fn measure(bench: &mut Bench, row: u8) -> Result<Measured> {
    match row {
        1 => throughput::deliveries(bench, 1).await,
        2 => throughput::deliveries(bench, 10).await,
        3 => throughput::cpu(bench).await,
        4 => latency::measure(bench).await,
        5 => burst::measure(bench).await,
        6 => isolation::many(bench).await,
        7 => isolation::neighbour(bench).await,
        8 => receivers::measure(bench).await,
        9 => routing::measure(bench).await,
        10 => subscriptions::measure(bench).await,
        11 => memory::measure(bench).await,
        12 => restart::measure(bench).await,
        13 => linear::measure(bench).await,
        14 => tls::measure(bench).await,
        15 => destination::measure(bench).await,
        16 => dashboard::measure(bench).await,
        _ => anyhow::bail!("no row has the number {row}"),
    }
}

#[expect(clippy::print_stderr, reason = "a long run reports its progress")]
fn progress(step: &str) {
    eprintln!("{step}");
}

/// Formats a count with its noun: `1 round`, `2 rounds`.
fn pluralize(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
