//! What is measured: [`ROWS`], one after the other, reference and subject by turns, so that both meet the same machine.

mod bench;
mod burst;
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
use crate::rig::{files, machine};

/// Bytes of every delivered body.
pub(crate) const BODY_BYTES: usize = 600;
/// Connections of the bare sender, and requests in flight to one subscription.
const IN_FLIGHT: usize = 64;
/// Requests in flight over all subscriptions.
const TOTAL_IN_FLIGHT: usize = 256;
/// What every event's topic begins with, and what asks for all of them.
const TOPIC: &str = "bench.event";
const EVERYTHING: &str = "bench.>";
/// Events that make all connections before a measurement begins.
const WARM_UP: u64 = 2_000;
/// How long a row may take; then something hangs.
const PATIENCE: Duration = Duration::from_secs(900);

/// Measures the rows that were asked for, and shows what was seen. A row that fails does not keep the others from
/// being measured.
pub(crate) async fn run(options: &Options) -> Result<ExitCode> {
    let rows = options.rows()?;
    files::raise_limit()?;
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
    say(&format!("{} {}", row.number, row.name));
    let (at, load) = (jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(), machine::load());
    let measured = tokio::time::timeout(PATIENCE, measure(bench, row.number)).await;
    let measured = measured.context("nothing came of it for too long").flatten();
    let error = measured.as_ref().err().map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        say(&format!("{} {} failed: {error}", row.number, row.name));
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
        _ => anyhow::bail!("there is no such row"),
    }
}

#[expect(clippy::print_stderr, reason = "a long run says how far it is")]
fn say(step: &str) {
    eprintln!("{step}");
}

/// `1 round`, `2 rounds`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
