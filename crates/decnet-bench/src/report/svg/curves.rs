//! Latency by percentile: both axes logarithmic, so that the tail is seen.

use super::super::figure::Unit;
use super::super::record::Curve;
use super::canvas::{Anchor, COLOURS, Canvas, MARGIN, WIDTH};

const LEFT: f64 = 80.0;
const HEIGHT: f64 = 220.0;
/// Percentiles that the horizontal axis names.
const NAMED: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];
/// Of the horizontal axis, as powers of ten of one in so many.
const FEWEST: f64 = 0.0;
const MOST: f64 = 4.0;

pub(super) fn draw(canvas: &mut Canvas, curves: &[&Curve]) {
    canvas.heading("Latency from the time an event was due to its receipt, by percentile");
    legend(canvas, curves);
    let axis = Axis::over(curves, canvas.y);
    for power in axis.low..=axis.high {
        let micros = 10_f64.powi(power);
        let y = axis.y(micros);
        canvas.line((LEFT, y), (WIDTH - MARGIN, y));
        canvas.text(LEFT - 8.0, y + 4.0, Anchor::End, &Unit::Micros.show(micros));
    }
    for percentile in NAMED {
        let x = x(percentile);
        canvas.line((x, axis.top), (x, axis.top + HEIGHT));
        canvas.text(x, axis.top + HEIGHT + 16.0, Anchor::Middle, &format!("p{percentile}"));
    }
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        let points: Vec<(f64, f64)> =
            curve.points.iter().map(|(p, us)| (x(*p), axis.y(*us as f64))).collect();
        canvas.curve(&points, colour);
    }
    canvas.down(HEIGHT + 24.0);
}

fn legend(canvas: &mut Canvas, curves: &[&Curve]) {
    let (y, mut left) = (canvas.y, MARGIN);
    for (curve, colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        canvas.curve(&[(left, y + 5.0), (left + 20.0, y + 5.0)], colour);
        canvas.text(left + 26.0, y + 9.0, Anchor::Start, &curve.label);
        left += 150.0;
    }
    canvas.down(28.0);
}

/// The vertical axis: whole powers of ten of microseconds.
struct Axis {
    low: i32,
    high: i32,
    top: f64,
}

impl Axis {
    fn over(curves: &[&Curve], top: f64) -> Self {
        let all = curves.iter().flat_map(|curve| &curve.points).map(|(_, us)| (*us).max(1));
        let power = |us: Option<u64>| us.unwrap_or(1).ilog10().cast_signed();
        let (low, high) = (power(all.clone().min()), power(all.max()) + 1);
        Self { low, high, top }
    }

    fn y(&self, micros: f64) -> f64 {
        let share = (micros.max(1.0).log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        self.top + HEIGHT * (1.0 - share)
    }
}

/// Where a percentile stands: by how few are beyond it.
fn x(percentile: f64) -> f64 {
    let beyond = (1.0 - percentile / 100.0).max(1e-9);
    let share = ((-beyond.log10()).clamp(FEWEST, MOST) - FEWEST) / (MOST - FEWEST);
    LEFT + share * (WIDTH - MARGIN - LEFT - 20.0)
}
