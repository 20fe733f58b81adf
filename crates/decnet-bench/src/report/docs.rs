//! `docs/benchmarks.md`, and the file of figures that it is made from.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::record::Report;
use super::{chart, table};

const INTRODUCTION: &str = include_str!("introduction.md");
const PAGE: &str = "benchmarks.md";
const FIGURES: &str = "benchmarks.json";
/// Written by hand: why rows miss their target, and what was tried.
const NOTES: &str = "benchmarks-notes.md";

/// Writes the page anew, in the repository that the program is started in; rows that `report` does not have, or
/// failed to measure, keep their figures.
pub(crate) fn write(report: &Report) -> Result<()> {
    write_in(Path::new("docs"), report)
}

fn write_in(docs: &Path, report: &Report) -> Result<()> {
    let report = earlier(&docs.join(FIGURES))?.updated(report);
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let notes = optional(&docs.join(NOTES))?;
    put(&docs.join(FIGURES), &json)?;
    put(&docs.join(PAGE), &page(&report, notes.as_deref()))
}

fn earlier(path: &Path) -> Result<Report> {
    let Some(text) = optional(path)? else { return Ok(Report::default()) };
    serde_json::from_str(&text).with_context(|| format!("{} holds no figures; delete it", path.display()))
}

fn optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)
        .with_context(|| format!("{} cannot be written; is this the repository?", path.display()))
}

fn page(report: &Report, notes: Option<&str>) -> String {
    let mut machines: Vec<&str> = report.rows.iter().map(|row| row.machine.as_str()).collect();
    machines.dedup();
    let (machines, table, rows) = (machines.join("; "), table::targets(report), table::notes(report));
    let charts = chart::render(report);
    let notes = notes.map(|notes| format!("\n## What stands in the way\n\n{}\n", notes.trim()));
    format!(
        "{INTRODUCTION}
## What was seen

{machines}. A target is missed by so much of itself.

{table}
{charts}Each row as it was measured, with the load average just before (anything else that ran took its share):

{rows}{}",
        notes.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn rows_measured_one_at_a_time_make_one_page() {
        let docs = tempfile::tempdir().unwrap();
        let (page, notes) = (docs.path().join(PAGE), docs.path().join(NOTES));
        write_in(docs.path(), &Report { rows: vec![record(2, 0.2)] }).unwrap();
        assert!(!fs::read_to_string(&page).unwrap().contains("What stands in the way"));
        fs::write(notes, "The disk.\n").unwrap();
        write_in(docs.path(), &Report { rows: vec![record(1, 0.1)] }).unwrap();
        let page = fs::read_to_string(page).unwrap();
        let places =
            ["| 1 title 1", "| 2 title 2", "xychart-beta", "## What stands in the way\n\nThe disk.\n"]
                .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} in {page}")));
        assert!(places.is_sorted());
    }

    #[test]
    fn figures_that_cannot_be_read_are_not_overwritten() {
        let docs = tempfile::tempdir().unwrap();
        fs::write(docs.path().join(FIGURES), "nonsense").unwrap();
        assert!(write_in(docs.path(), &Report::default()).is_err());
        assert_eq!(fs::read_to_string(docs.path().join(FIGURES)).unwrap(), "nonsense");
    }
}
