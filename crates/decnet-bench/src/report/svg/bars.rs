//! Deliveries a second, each above its reference.

use super::super::figure::thousands;
use super::super::record::Bar;
use super::canvas::{Anchor, Canvas, MARGIN, REFERENCE, SUBJECT, WIDTH};

/// Where the bars begin, and how much room is kept for the figure at their end.
const LEFT: f64 = 220.0;
const RIGHT: f64 = 130.0;
/// Of one bar, in pixels.
const HEIGHT: f64 = 11.0;

pub(super) fn draw(canvas: &mut Canvas, bars: &[&Bar]) {
    canvas.heading("Deliveries per second, durable, beside the bare sender's");
    legend(canvas);
    let most = bars.iter().map(|bar| bar.per_second.max(bar.reference_per_second)).fold(1.0, f64::max);
    for bar in bars {
        let y = canvas.y;
        canvas.text(LEFT - 10.0, y + HEIGHT + 4.0, Anchor::End, &bar.label);
        one(canvas, y, bar.per_second, most, SUBJECT);
        one(canvas, y + HEIGHT + 1.0, bar.reference_per_second, most, REFERENCE);
        canvas.down(2.0 * HEIGHT + 10.0);
    }
}

fn legend(canvas: &mut Canvas) {
    let y = canvas.y;
    for (x, colour, what) in [(MARGIN, SUBJECT, "decnet"), (MARGIN + 80.0, REFERENCE, "bare sender")] {
        canvas.bar((x, y), (HEIGHT, HEIGHT), colour);
        canvas.text(x + HEIGHT + 5.0, y + HEIGHT - 1.0, Anchor::Start, what);
    }
    canvas.down(HEIGHT + 14.0);
}

fn one(canvas: &mut Canvas, y: f64, per_second: f64, most: f64, colour: &str) {
    let width = per_second / most * (WIDTH - LEFT - RIGHT);
    canvas.bar((LEFT, y), (width, HEIGHT), colour);
    canvas.text(LEFT + width + 6.0, y + HEIGHT - 1.0, Anchor::Start, &thousands(per_second));
}
