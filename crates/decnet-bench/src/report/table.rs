//! Tables in Markdown that are also readable in a terminal.

use super::record::{Record, Report};

/// Renders the report for a terminal: the table, then the notes of each row.
pub(super) fn plain(report: &Report) -> String {
    let machine = report.rows.first().map_or("", |row| &row.machine);
    format!("{machine}\n\n{}\n{}", targets(report), notes(report))
}

/// Renders all figures, and the errors of failed rows.
pub(super) fn targets(report: &Report) -> String {
    let mut table = vec![["row", "figure", "measured", "details", "target", ""].map(String::from)];
    for row in &report.rows {
        let mut title = format!("{} {}", row.number, row.title);
        if let Some(error) = &row.error {
            table.push([&*title, &*one_line(error), "", "", "", "failed"].map(String::from));
        }
        for figure in &row.measured.figures {
            let (name, detail) = (figure.name.clone(), figure.detail.clone());
            let (value, target) = (figure.unit.format(figure.value), figure.formatted_target());
            table.push([std::mem::take(&mut title), name, value, detail, target, figure.verdict()]);
        }
    }
    render(&table)
}

/// Renders the notes of each row.
pub(super) fn notes(report: &Report) -> String {
    report.rows.iter().filter(|row| !row.measured.notes.is_empty()).map(note).collect()
}

fn note(row: &Record) -> String {
    let size = format!("{:?}", row.size).to_lowercase();
    let (number, name, at, load) = (row.number, &row.name, &row.at, &row.load);
    let notes = row.measured.notes.join("; ");
    format!("- **{number} {name}** ({at}, {size} size, load {load}): {notes}.\n")
}

/// Replaces what would break a table: line breaks and vertical bars.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}

/// Renders rows of cells, of which the first is the heading.
fn render(rows: &[[String; 6]]) -> String {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(widest);
    let mut lines: Vec<String> = rows.iter().map(|row| line(row, &widths)).collect();
    let rule: Vec<String> = widths.iter().enumerate().map(|(column, width)| rule(column, *width)).collect();
    lines.insert(1, format!("|{}|", rule.join("|")));
    lines.join("\n") + "\n"
}

/// Returns whether a column contains numbers, which are aligned to the right.
fn is_figure(column: usize) -> bool {
    matches!(column, 2 | 4)
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| match is_figure(column) {
        false => format!(" {cell:<width$} "),
        true => format!(" {cell:>width$} "),
    });
    format!("|{}|", cells.collect::<Vec<_>>().join("|"))
}

fn rule(column: usize, width: usize) -> String {
    if is_figure(column) { "-".repeat(width + 1) + ":" } else { "-".repeat(width + 2) }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn row_shows_its_figures_and_targets() {
        let table = targets(&Report { rows: vec![record(1, 0.5), record(2, 0.7)] });
        let expected = "\
| row       | figure | measured | details | target |                |
|-----------|--------|---------:|---------|-------:|----------------|
| 1 title 1 | ratio  |     0.50 | 100/s   | ≥ 0.60 | missed by 17 % |
| 2 title 2 | ratio  |     0.70 | 100/s   | ≥ 0.60 | met            |
";
        assert_eq!(table, expected);
    }

    #[test]
    fn failed_row_shows_its_error_on_one_line() {
        let failed = Record { error: Some("stuck:\n a|b".into()), ..record(4, 0.5) };
        let table = targets(&Report { rows: vec![Record { measured: Default::default(), ..failed }] });
        assert!(table.contains("| 4 title 4 | stuck: a/b |") && table.contains("| failed |"), "{table}");
    }
}
