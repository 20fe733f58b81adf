//! `cargo xtask bench`: builds `decnet` and `decnet-bench` with the profile `dist` and runs the latter.
//!
//! The benchmark is a crate of its own, because it must not be measured in debug mode, and `tidy` must not
//! build its dependencies.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const PROGRAM: &str = "decnet-bench";

/// Measure the whole pipeline against a bare HTTP sender; `--help` lists the options
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// Arguments of the benchmark
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Builds and runs the benchmark, and returns its success or failure.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = build()?;
    let status = Command::new(&program).args(&options.arguments).status();
    let status = status.with_context(|| format!("cannot start {}", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds both programs in one run of cargo, so that they share dependencies and a directory. Returns the
/// benchmark's path.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile", "dist", "--package", "decnet", "--package", PROGRAM]);
    cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let built = cargo.output().context("cannot start cargo")?;
    ensure!(built.status.success(), "the build failed");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().filter_map(executable).next_back();
    executable.context("cargo did not report the path of the benchmark")
}

/// Returns the benchmark's path if this message of cargo contains it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == PROGRAM).then(|| message["executable"].as_str().map(PathBuf::from))?
}
