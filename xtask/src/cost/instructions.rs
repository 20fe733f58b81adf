//! Instructions of a pure step under callgrind. Two runs differ only in the number of steps, so that start-up
//! and shutdown cancel out.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{Counted, Figure};
use crate::build::Built;

/// The steps of the program. The name of each figure is that of its step with `.instructions`.
const STEPS: [&str; 6] = ["topic", "frame", "event", "filter.first", "filter.next", "format"];
/// The build of the program, optimised.
const BUILD: &str = "build --locked --quiet --profile cost --package instructions";
const FEW: u32 = 1000;
const MANY: u32 = 11_000;

pub(super) fn count() -> Result<Counted> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Ok(Counted::Skipped("instructions: valgrind is not installed".into()));
    }
    let built = Built::by(BUILD)?;
    let program = built.executable("bin", "instructions")?;
    let figures = STEPS.iter().map(|step| {
        let more = collected(&program, step, MANY)? - collected(&program, step, FEW)?;
        Ok(Figure::new(format!("{step}.instructions"), more / f64::from(MANY - FEW)))
    });
    Ok(Counted::Figures(figures.collect::<Result<_>>()?))
}

fn collected(program: &Path, step: &str, times: u32) -> Result<f64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([step, &times.to_string()]);
    let output = valgrind.output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "callgrind failed: {stderr}");
    let line = stderr.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = line.with_context(|| format!("callgrind did not report a count: {stderr}"))?;
    Ok(count.trim().parse()?)
}
