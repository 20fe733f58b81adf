//! The charts of `docs/benchmarks.md`: throughput as a Mermaid chart, latency as a table of percentiles.

use std::fmt::Write as _;

use super::figure::Unit;
use super::record::{Bar, Curve, Report};

/// Renders throughput and latency as Markdown, without rows that were not measured.
pub(super) fn render(report: &Report) -> String {
    let bars: Vec<_> = report.rows.iter().flat_map(|row| &row.measured.bars).collect();
    let curves: Vec<_> = report.rows.iter().flat_map(|row| &row.measured.curves).collect();
    let mut text = String::new();
    if !bars.is_empty() {
        text += &throughput(&bars);
    }
    if !curves.is_empty() {
        text += &latency(&curves);
    }
    text
}

/// Renders the throughput chart. The reference is drawn first: bars with the same label overlap, and the reference is usually
/// the longer one.
fn throughput(bars: &[&Bar]) -> String {
    let join = |texts: Vec<String>| texts.join(", ");
    let labels = join(bars.iter().map(|bar| format!("\"{}\"", quoted(&bar.label))).collect());
    let reference = join(bars.iter().map(|bar| format!("{:.0}", bar.reference_per_second)).collect());
    let subject = join(bars.iter().map(|bar| format!("{:.0}", bar.per_second)).collect());
    format!(
        "```mermaid\nxychart-beta horizontal\n    title \"Deliveries per second: bare sender (behind), decnet (in front)\"\n    \
         x-axis [{labels}]\n    y-axis \"per second\"\n    bar [{reference}]\n    bar [{subject}]\n```\n\n"
    )
}

/// Renders the latency table. All curves have the same percentiles, so those of the first curve are the columns.
fn latency(curves: &[&Curve]) -> String {
    let percentiles = curves.iter().take(1).flat_map(|curve| &curve.points);
    let heading: String = percentiles.clone().map(|(percentile, _)| format!(" p{percentile} |")).collect();
    let rule: String = percentiles.map(|_| "---:|").collect();
    let mut text = format!("| latency from due time to receipt |{heading}\n|---|{rule}\n");
    for curve in curves {
        let cell = |(_, us): &(f64, u64)| format!(" {} |", Unit::Micros.format_whole(*us));
        let cells: String = curve.points.iter().map(cell).collect();
        writeln!(text, "| {} |{cells}", curve.label).expect("writing to a string cannot fail");
    }
    text + "\n"
}

/// Replaces quotation marks. Mermaid ends a quoted label at the next quotation mark and has no escape for it.
fn quoted(label: &str) -> String {
    label.replace('"', "'")
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::*;

    #[test]
    fn every_bar_and_curve_is_rendered() {
        let text = render(&Report { rows: vec![record(1, 0.5), record(2, 0.7)] });
        let expected = "\
```mermaid
xychart-beta horizontal
    title \"Deliveries per second: bare sender (behind), decnet (in front)\"
    x-axis [\"row 1\", \"row 2\"]
    y-axis \"per second\"
    bar [100, 100]
    bar [50, 50]
```

| latency from due time to receipt | p50 | p99.9 |
|---|---:|---:|
| 100/s | 0.40 ms | 5.00 ms |
| 100/s | 0.40 ms | 5.00 ms |

";
        assert_eq!(text, expected);
    }

    #[test]
    fn label_cannot_end_its_quotation() {
        let mut row = record(1, 0.5);
        row.measured.bars[0].label = "a \"b\"".into();
        assert!(render(&Report { rows: vec![row] }).contains("x-axis [\"a 'b'\"]"));
    }

    #[test]
    fn report_without_measurements_has_no_chart() {
        assert_eq!(render(&Report::default()), "");
    }
}
