//! Measures the dispatcher beside its references, on the same machine, in the same run.
//!
//! - `options`, `plan`: what is asked for, and how much of everything that is;
//! - `roles`: what runs in a process of its own, so that its CPU and memory can be told apart: the receiver, the bare
//!   sender, the router;
//! - `rig`: starts, feeds, watches and kills those processes and the real `decnet bus` and `decnet webhook`;
//! - `cases`: what is measured, a file for each row of the table or family of rows;
//! - `targets`: what each row ought to come to;
//! - `report`: the figures, as a table, as JSON, as `docs/benchmarks.md` with its plot.

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

/// How the benchmark starts itself in other processes.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// Answers, or misbehaves, and counts.
    #[command(hide = true)]
    Receiver(roles::receiver::Options),
    /// Sends as fast as it can.
    #[command(hide = true)]
    BareSender(roles::bare_sender::Options),
    /// Routes topics, and scans for them.
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

/// Dropped in the middle, the work kills its processes; ended by a signal, it would leave them behind.
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
