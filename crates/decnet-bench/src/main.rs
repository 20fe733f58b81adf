//! Benchmark of the dispatcher. It measures decnet and its references on the same machine in the same run.
//!
//! - `options`, `plan`: the command line, and the amount of work for each size of run;
//! - `roles`: the parts that run in processes of their own, so that their CPU and memory are measured
//!   separately: the receiver, the bare sender and the router;
//! - `rig`: starts, feeds, observes and kills these processes and the real `decnet bus` and `decnet webhook`;
//! - `cases`: the measurements, one file for each row of the table or group of rows;
//! - `targets`: the target of each row;
//! - `report`: the results as a table, as JSON, and as `docs/benchmarks.md` with its charts.

mod cases;
mod clock;
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
    role: Option<Role>,
}

/// Roles in which the benchmark starts itself as another process.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// Receives requests, optionally misbehaves, and counts them.
    #[command(hide = true)]
    Receiver(roles::receiver::Options),
    /// Sends requests as fast as possible.
    #[command(hide = true)]
    BareSender(roles::bare_sender::Options),
    /// Measures routing and a linear scan.
    #[command(hide = true)]
    Router(roles::router::Options),
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = |()| ExitCode::SUCCESS;
    let work = async {
        match cli.role {
            Some(Role::Receiver(options)) => roles::receiver::run(options).await.map(done),
            Some(Role::BareSender(options)) => roles::bare_sender::run(&options).await.map(done),
            Some(Role::Router(options)) => roles::router::run(&options).map(done),
            None => interruptible(cases::run(&cli.options)).await,
        }
    };
    LocalSet::new().block_on(&runtime, work)
}

/// Runs `work` until it ends or a signal arrives. On a signal it drops `work`, which kills the child
/// processes; the default action of the signal would leave them running.
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
