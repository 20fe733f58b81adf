//! The figures: what was measured, whether it is what was wanted, and how it is shown.
//!
//! - [`figure`]: one figure and its target;
//! - [`record`]: a row with its figures, when and where they were seen;
//! - [`table`]: for people; JSON for machines is the records as they are;
//! - [`docs`], [`chart`]: `docs/benchmarks.md`, with the figures of earlier runs that `docs/benchmarks.json` keeps.

mod chart;
mod docs;
mod figure;
mod rate;
mod record;
mod table;

use std::io::Write as _;

use anyhow::Result;

pub(crate) use docs::write as write_docs;
pub(crate) use figure::{Figure, Target, Unit, thousands};
pub(crate) use rate::{Quantiles, Rate, median};
pub(crate) use record::{Bar, Curve, Measured, Record, Report};

/// The table for people, or JSON for machines.
pub(crate) fn print(report: &Report, json: bool) -> Result<()> {
    let text = if json { serde_json::to_string_pretty(report)? } else { table::plain(report) };
    writeln!(std::io::stdout().lock(), "{}", text.trim_end())?;
    Ok(())
}
