//! The results: figures with their targets, and their output.
//!
//! - [`figure`]: one figure and its target;
//! - [`record`]: a row with its figures, and the time and machine of the measurement;
//! - [`table`]: the output for terminals; the JSON output is the records themselves;
//! - [`docs`], [`chart`]: `docs/benchmarks.md`, including results of earlier runs from
//!   `docs/benchmarks.json`.

mod chart;
mod docs;
mod figure;
mod rate;
mod record;
mod table;

use std::io::Write as _;

use anyhow::Result;

pub(crate) use docs::write as write_docs;
pub(crate) use figure::{Figure, Target, Unit};
pub(crate) use rate::{Rate, median};
pub(crate) use record::{Bar, Curve, Measured, Record, Report};

/// Prints the report as a table or as JSON.
pub(crate) fn print(report: &Report, json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { table::plain(report) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}
