//! The plot of the docs, drawn by hand: bars of throughput, curves of latency.

mod bars;
mod canvas;
mod curves;

use self::canvas::Canvas;
use super::record::Report;

/// Pixels between the two halves.
const GAP: f64 = 28.0;

/// Both halves, one below the other; what was not measured is left out.
pub(super) fn draw(report: &Report) -> String {
    let mut canvas = Canvas::new();
    let bars: Vec<_> = report.rows.iter().flat_map(|row| &row.measured.bars).collect();
    let curves: Vec<_> = report.rows.iter().flat_map(|row| &row.measured.curves).collect();
    if !bars.is_empty() {
        bars::draw(&mut canvas, &bars);
        canvas.down(GAP);
    }
    if !curves.is_empty() {
        curves::draw(&mut canvas, &curves);
    }
    canvas.finish()
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::record::{Bar, Report};
    use super::*;

    fn count(svg: &str, element: &str) -> usize {
        svg.matches(&format!("<{element} ")).count()
    }

    #[test]
    fn every_bar_and_curve_is_drawn_within_the_picture() {
        let svg = draw(&Report { rows: vec![record(1, 0.5), record(2, 0.7)] });
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        // The background, two bars and two references, two curves, and what explains them.
        assert_eq!((count(&svg, "rect"), count(&svg, "polyline")), (7, 4));
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("=\"-"), "{svg}");
    }

    #[test]
    fn names_cannot_break_the_markup() {
        let mut row = record(1, 0.5);
        row.measured.bars[0] = Bar { label: "a <b> & \"c\"".into(), ..row.measured.bars[0].clone() };
        assert!(draw(&Report { rows: vec![row] }).contains("a &lt;b&gt; &amp; \"c\""));
    }

    #[test]
    fn nothing_measured_draws_nothing() {
        let svg = draw(&Report::default());
        assert_eq!((count(&svg, "rect"), count(&svg, "polyline")), (1, 0));
    }
}
