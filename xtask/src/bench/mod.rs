//! `cargo xtask bench`: builds `decnet` and `decnet-bench` with the profile `dist` and runs the latter.
//!
//! The benchmark is a crate of its own: measured in debug mode it would measure itself, and `tidy` must not wait
//! for its dependencies.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const PROGRAM: &str = "decnet-bench";

/// Measures the whole pipeline beside a bare HTTP sender; `--help` says more.
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Options {
    /// For the benchmark itself
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Ends as the benchmark does.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let program = build()?;
    let status = Command::new(&program).args(&options.arguments).status();
    let status = status.with_context(|| format!("{} cannot be started", program.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Both in one go, so that they share what they depend on and lie side by side. Says where.
fn build() -> Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--profile", "dist", "--package", "decnet", "--package", PROGRAM]);
    cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let built = cargo.output().context("cargo cannot be started")?;
    ensure!(built.status.success(), "the build failed");
    let messages = String::from_utf8_lossy(&built.stdout);
    let executable = messages.lines().filter_map(executable).next_back();
    executable.context("cargo did not say where it put the benchmark")
}

/// The benchmark's path, in the one of cargo's messages that says it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    (message["target"]["name"] == PROGRAM).then(|| message["executable"].as_str().map(PathBuf::from))?
}
