//! The benchmark program. It measures decnet and its references on the same machine in the same run.
//!
//! - `options`, `plan`: the command line, and the amount of work for each size of run;
//! - `roles`: the parts that run in processes of their own: the receiver, the bare sender, the router, and
//!   the filter with the formats;
//! - `rig`: starts, feeds, observes and kills these processes and the real `decnet bus` and `decnet webhook`;
//! - `cases`: the measurements, one file for each row of the table or group of rows;
//! - `targets`: the target of each row;
//! - `report`: the results as a table, as JSON, and as `docs/benchmarks.md` with its charts.

mod cases;
mod options;
mod plan;
mod report;
mod rig;
mod roles;
mod targets;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// Measures deliveries per second, CPU, latency, isolation, memory and scale of the whole pipeline.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: options::Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Performs a role in a process that the benchmark has started.
    #[command(hide = true)]
    Role { json: String },
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async {
        match cli.command {
            Some(Command::Role { json }) => {
                serde_json::from_str::<roles::Role>(&json)?.perform().await.map(|()| ExitCode::SUCCESS)
            }
            None => interruptible(cases::run(&cli.options)).await,
        }
    };
    LocalSet::new().block_on(&runtime, work)
}

/// Runs `work` until it ends or a signal arrives. On a signal it drops `work`, which kills the child processes; the default
/// action of the signal would leave them running.
async fn interruptible(work: impl Future<Output = Result<ExitCode>>) -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = work => result,
        _ = terminate.recv() => anyhow::bail!("terminated"),
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            anyhow::bail!("interrupted")
        }
    }
}
