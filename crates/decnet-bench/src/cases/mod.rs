//! What is measured, and in which order: reference and subject by turns, so that both meet the same machine.

mod latency;
mod throughput;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use crate::report::{self, Report};
use crate::rig::machine::Machine;
use crate::rig::{Receiver, disk};

/// Bytes of every delivered body.
pub(crate) const BODY_BYTES: usize = 600;
/// Connections of the bare sender, and requests in flight to one subscription.
pub(crate) const IN_FLIGHT: usize = 64;
/// Events that the publisher may be ahead of the receiver: far more than any lane holds in memory, and less than
/// the bus may hold for its readers.
const AHEAD: u64 = 100_000;
/// How long nothing may arrive before a run counts as stuck.
const STUCK: Duration = Duration::from_secs(15);

/// The settings of a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Cases: throughput-1, throughput-10 (one and ten subscriptions), latency-100, latency-1000 (events a second)

Examples:
  cargo xtask bench
  cargo xtask bench --quick
  cargo xtask bench --only throughput-1 --rounds 5
  cargo xtask bench --json > figures.json
  cargo xtask bench --write-docs")]
pub(crate) struct Options {
    /// Shorter runs: less than two minutes in all
    #[arg(long)]
    quick: bool,
    /// Only this case, or the cases of this kind (throughput, latency); may be repeated
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Events of each throughput run, shared by its subscriptions' number [default: enough for seconds]
    #[arg(long, value_name = "N")]
    events: Option<u64>,
    /// Rounds of reference and subject, of which the medians are shown [default: 5, or 3 with --quick]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Events that the publisher may be ahead of the receiver; a few hundred keep all of them in memory
    #[arg(long, value_name = "N", default_value_t = AHEAD)]
    ahead: u64,
    /// Where the queues are made; must be on a disk [default: a directory beside the program]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Write docs/benchmarks.md
    #[arg(long)]
    write_docs: bool,
}

/// What all cases share.
struct Bench {
    receiver: Receiver,
    program: PathBuf,
    directory: TempDir,
    plan: Plan,
}

/// How much of everything.
struct Plan {
    rounds: usize,
    deliveries: u64,
    ahead: u64,
    reference_requests: u64,
    latency_seconds: u64,
    fdatasyncs: u32,
}

impl Options {
    fn plan(&self) -> Plan {
        let full = Plan {
            rounds: 5,
            deliveries: 500_000,
            ahead: self.ahead.max(1),
            reference_requests: 400_000,
            latency_seconds: 20,
            fdatasyncs: 1000,
        };
        let quick = Plan {
            rounds: 3,
            deliveries: 150_000,
            ahead: self.ahead.max(1),
            reference_requests: 150_000,
            latency_seconds: 8,
            fdatasyncs: 300,
        };
        let mut plan = if self.quick { quick } else { full };
        plan.rounds = self.rounds.unwrap_or(plan.rounds).max(1);
        plan
    }

    fn wants(&self, case: &str) -> bool {
        let family = case.split_once('-').map_or(case, |(family, _)| family);
        self.only.is_empty() || self.only.iter().any(|name| name == case || name == family)
    }
}

/// Measures, and prints what was seen.
pub(crate) async fn run(options: &Options) -> Result<()> {
    let cases = ["throughput-1", "throughput-10", "latency-100", "latency-1000"];
    ensure!(cases.iter().any(|case| options.wants(case)), "no case has such a name; they are {cases:?}");
    let machine = Machine::look();
    let mut bench = Bench::prepare(options).await?;
    let fdatasync = disk::fdatasync(bench.directory.path(), bench.plan.fdatasyncs)?;
    let throughput = throughput::measure(&mut bench, options).await?;
    let latency = latency::measure(&mut bench, options).await?;
    let report = Report::new(machine, options.quick, fdatasync, throughput, latency);
    if options.write_docs {
        report::write_docs(&report)?;
    }
    report::print(&report, options.json)
}

impl Bench {
    async fn prepare(options: &Options) -> Result<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().context("the program is in no directory")?;
        let parent = options.data_dir.as_deref().unwrap_or(beside);
        std::fs::create_dir_all(parent)?;
        disk::must_be_a_disk(parent)?;
        let directory = tempfile::Builder::new().prefix("bench-").tempdir_in(parent)?;
        let receiver = Receiver::start(directory.path()).await?;
        let decnet = beside.join("decnet");
        ensure!(decnet.is_file(), "{} is not there; start this with cargo xtask bench", decnet.display());
        Ok(Self { receiver, program: decnet, directory, plan: options.plan() })
    }
}
