//! `cargo xtask bench`: builds `decnet` and `decnet-bench` with the profile `dist` and runs the latter.
//!
//! The benchmark is a crate of its own, because it must not be measured in debug mode, and `tidy` must not
//! build its dependencies.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};

use crate::build::Built;

const PROGRAM: &str = "decnet-bench";

/// Measure the whole pipeline against a bare HTTP sender; `--help` lists the options
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Arguments of the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds and runs the benchmark, and returns its success or failure. One run of cargo builds both programs, so
/// that they share dependencies and a directory.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let built = Built::by(&format!("build --profile dist --package decnet --package {PROGRAM}"))?;
    let program = built.executable("bin", PROGRAM)?;
    let status = Command::new(&program).args(&options.arguments).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
