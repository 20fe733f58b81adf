//! `docs/benchmarks.md` and the JSON file from which it is rendered.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::record::Report;
use super::{chart, table};

const INTRODUCTION: &str = include_str!("introduction.md");
const PAGE: &str = "benchmarks.md";
const FIGURES: &str = "benchmarks.json";
/// Hand-written remarks: why rows miss their target, and what was tried.
const NOTES: &str = "benchmarks-notes.md";

/// Writes the page and the JSON file in the repository of the current directory. Rows that `report` does not contain or failed
/// to measure keep their results.
pub(crate) fn write(report: &Report) -> Result<()> {
    write_in(Path::new("docs"), report)
}

fn write_in(docs: &Path, report: &Report) -> Result<()> {
    let report = load_previous(&docs.join(FIGURES))?.updated(report);
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let notes = read_if_exists(&docs.join(NOTES))?;
    write_file(&docs.join(FIGURES), &json)?;
    write_file(&docs.join(PAGE), &page(&report, notes.as_deref()))
}

fn load_previous(path: &Path) -> Result<Report> {
    let Some(text) = read_if_exists(path)? else { return Ok(Report::default()) };
    serde_json::from_str(&text)
        .with_context(|| format!("{} is not a valid report; delete it", path.display()))
}

fn read_if_exists(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| {
        format!("cannot write {}; run the benchmark in the root of the repository", path.display())
    })
}

fn page(report: &Report, notes: Option<&str>) -> String {
    let mut machines: Vec<&str> = report.rows.iter().map(|row| row.machine.as_str()).collect();
    machines.dedup();
    let (machines, table, rows) = (machines.join("; "), table::targets(report), table::notes(report));
    let charts = chart::render(report);
    let notes = notes.map(|notes| format!("\n## Remarks\n\n{}\n", notes.trim()));
    format!(
        "{INTRODUCTION}
## Results

{machines}. A missed target shows the distance as a percentage of the target.

{table}
{charts}How each row was measured, with the load average just before (other programs that ran lower the result):

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
        assert!(!fs::read_to_string(&page).unwrap().contains("Remarks"));
        fs::write(notes, "The disk.\n").unwrap();
        write_in(docs.path(), &Report { rows: vec![record(1, 0.1)] }).unwrap();
        let page = fs::read_to_string(page).unwrap();
        let places = ["| 1 title 1", "| 2 title 2", "xychart-beta", "## Remarks\n\nThe disk.\n"]
            .map(|part| page.find(part).unwrap_or_else(|| panic!("{part} in {page}")));
        assert!(places.is_sorted());
    }

    #[test]
    fn unreadable_results_are_not_overwritten() {
        let docs = tempfile::tempdir().unwrap();
        fs::write(docs.path().join(FIGURES), "nonsense").unwrap();
        assert!(write_in(docs.path(), &Report::default()).is_err());
        assert_eq!(fs::read_to_string(docs.path().join(FIGURES)).unwrap(), "nonsense");
    }
}
