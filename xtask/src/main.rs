//! Checks and benchmarks of this repository, run as `cargo xtask`.

mod bench;
mod build;
mod cost;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  cargo xtask tidy            check the rules of the repository
  cargo xtask cost            count allocations, system calls and instructions, against ceilings
  cargo xtask bench --quick   measure, against a bare HTTP sender, in two minutes";

/// Checks and benchmarks of this repository
#[derive(Parser)]
#[command(bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Tidy(tidy::Options),
    Bench(bench::Options),
    Cost(cost::Options),
}

fn main() -> Result<ExitCode> {
    match Cli::parse().task {
        Task::Tidy(options) => tidy::run(&options, &mut std::io::stdout().lock()),
        Task::Bench(options) => bench::run(&options),
        Task::Cost(options) => cost::run(&options, &mut std::io::stdout().lock()),
    }
}
