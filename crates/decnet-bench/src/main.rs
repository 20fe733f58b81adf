//! Measures the dispatcher beside a bare HTTP sender, on the same machine, in the same run.
//!
//! - `roles`: what runs in a process of its own, so that its CPU can be told apart: the receiver, the bare sender;
//! - `rig`: starts, feeds, watches and kills those processes and the real `decnet bus` and `decnet webhook`;
//! - `cases`: what is measured: throughput beside the reference, latency at a fixed rate;
//! - `report`: the figures, as a table, as JSON, as `docs/benchmarks.md`.

mod cases;
mod clock;
mod report;
mod rig;
mod roles;

use anyhow::Result;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// Measures deliveries per second, CPU and latency of the whole pipeline beside a bare HTTP sender.
#[derive(Parser)]
#[command(bin_name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    options: cases::Options,
    #[command(subcommand)]
    role: Option<Role>,
}

/// How the benchmark starts itself in other processes.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// Answers 200 and counts.
    #[command(hide = true)]
    Receiver,
    /// Sends as fast as it can.
    #[command(hide = true)]
    BareSender(roles::bare_sender::Options),
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async {
        match cli.role {
            Some(Role::Receiver) => roles::receiver::run().await,
            Some(Role::BareSender(options)) => roles::bare_sender::run(&options).await,
            None => interruptible(cases::run(&cli.options)).await,
        }
    };
    LocalSet::new().block_on(&runtime, work)
}

/// Dropped in the middle, the work kills its processes; ended by a signal, it would leave them behind.
async fn interruptible(work: impl Future<Output = Result<()>>) -> Result<()> {
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
