//! Tables, as Markdown that also reads well in a terminal.

use super::{Quantiles, Report};

/// Rows of texts, the first one the heading.
struct Table(Vec<Vec<String>>);

pub(super) fn plain(report: &Report) -> String {
    let machine = &report.machine;
    format!(
        "{}\n{}, {} cores, Linux {}, load {} before the run\n\n{}\n{}\n{}",
        report.at,
        machine.cpu,
        machine.cores,
        machine.kernel,
        machine.load,
        throughput(report),
        cpu(report),
        latency(report)
    )
}

pub(super) fn throughput(report: &Report) -> String {
    let mut table =
        Table::new(&["case", "deliveries/s", "bare sender/s", "ratio (median)", "lowest to highest"]);
    for case in &report.throughput {
        let medians = &case.medians;
        table.add(&[
            &case.name,
            &thousands(medians.per_second),
            &thousands(medians.reference_per_second),
            &format!("{:.2}", medians.ratio),
            &format!("{:.2} to {:.2}", medians.lowest_ratio, medians.highest_ratio),
        ]);
    }
    table.render()
}

pub(super) fn cpu(report: &Report) -> String {
    let mut table =
        Table::new(&["CPU s per 100,000", "worker", "bare sender", "ratio (median)", "bus, apart"]);
    for case in &report.throughput {
        let medians = &case.medians;
        table.add(&[
            &case.name,
            &format!("{:.2}", medians.cpu_per_100k),
            &format!("{:.2}", medians.reference_cpu_per_100k),
            &format!("{:.2}", medians.cpu_ratio),
            &format!("{:.2}", medians.bus_cpu_per_100k),
        ]);
    }
    table.render()
}

pub(super) fn latency(report: &Report) -> String {
    let mut table = Table::new(&["publish to receipt", "p50", "p99", "max", "events"]);
    let mut add = |name: &str, taken: &Quantiles| {
        let shown = [taken.p50_us, taken.p99_us, taken.max_us].map(millis);
        table.add(&[name, &shown[0], &shown[1], &shown[2], &thousands_of(taken.count)]);
    };
    for case in &report.latency {
        add(&case.name, &case.latency);
        add("the disk's fdatasync, just before", &case.fdatasync);
    }
    if report.latency.is_empty() {
        add("the disk's fdatasync", &report.fdatasync);
    }
    table.render()
}

impl Table {
    fn new(heading: &[&str]) -> Self {
        let mut table = Self(Vec::new());
        table.add(heading);
        table
    }

    fn add(&mut self, row: &[&str]) {
        self.0.push(row.iter().map(|&cell| cell.to_owned()).collect());
    }

    fn render(&self) -> String {
        let columns = self.0.first().map_or(0, Vec::len);
        let widest = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let mut lines: Vec<String> = self.0.iter().map(|row| line(row, &widths)).collect();
        let rule: Vec<String> = (0..columns).map(|column| rule(column, widths[column])).collect();
        lines.insert(1, format!("|{}|", rule.join("|")));
        lines.join("\n") + "\n"
    }
}

/// The first column is text, the others are figures and stand at the right.
fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, &width))| match column {
        0 => format!(" {cell:<width$} "),
        _ => format!(" {cell:>width$} "),
    });
    format!("|{}|", cells.collect::<Vec<_>>().join("|"))
}

fn rule(column: usize, width: usize) -> String {
    if column == 0 { "-".repeat(width + 2) } else { "-".repeat(width + 1) + ":" }
}

/// A figure without its fraction, with commas.
fn thousands(figure: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is small and positive"
    )]
    let whole = figure.round() as u64;
    thousands_of(whole)
}

fn thousands_of(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn millis(micros: u64) -> String {
    format!("{}.{:02} ms", micros / 1000, micros % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped_and_columns_aligned() {
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands_of(123), "123");
        assert_eq!(millis(1509), "1.50 ms");
        let mut table = Table::new(&["case", "n"]);
        table.add(&["x", "1,000"]);
        assert_eq!(table.render(), "| case |     n |\n|------|------:|\n| x    | 1,000 |\n");
    }
}
