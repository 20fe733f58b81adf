//! The steps of an attempt as a bar.

use serde::Deserialize;

/// The width of a bar; [`Segment`] counts in this unit.
pub const BAR_WIDTH: f64 = 1000.0;

/// The durations of an attempt's steps, in milliseconds; `None` for a step that was not needed or not finished.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the fields of the API")]
pub struct Timings {
    resolve_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    first_byte_ms: Option<f64>,
}

/// A step in a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// The name of the step.
    pub name: &'static str,
    /// The number of the step, which selects its colour.
    pub number: usize,
    /// The duration in milliseconds.
    pub ms: f64,
    /// The start.
    pub x: f64,
    /// The width.
    pub width: f64,
}

impl Timings {
    /// Returns the measured steps in order, and what remains of the whole duration, in milliseconds. Empty if no step was measured.
    #[must_use]
    pub fn segments(&self, duration_ms: f64) -> Vec<Segment> {
        let Self { resolve_ms, connect_ms, tls_ms, first_byte_ms } = *self;
        let measured = [resolve_ms, connect_ms, tls_ms, first_byte_ms];
        if measured.iter().all(Option::is_none) {
            return Vec::new();
        }
        let sum: f64 = measured.into_iter().flatten().sum();
        // Each part is rounded by itself.
        let rest = Some(duration_ms - sum).filter(|rest| *rest >= 0.05);
        let names = ["DNS", "connect", "TLS", "first byte", "rest"];
        let total = sum + rest.unwrap_or_default();
        let (mut segments, mut x) = (Vec::new(), 0.0);
        for (number, (name, ms)) in names.into_iter().zip(measured.into_iter().chain([rest])).enumerate() {
            let Some(ms) = ms else { continue };
            let width = if total > 0.0 { ms / total * BAR_WIDTH } else { 0.0 };
            segments.push(Segment { name, number, ms, x, width });
            x += width;
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(timings: &Timings, duration_ms: f64) -> Vec<(&'static str, f64, f64)> {
        let segments = timings.segments(duration_ms);
        segments.iter().map(|segment| (segment.name, segment.x, segment.width)).collect()
    }

    #[test]
    fn bar_is_filled_by_the_steps_and_the_rest() {
        let mut timings =
            Timings { resolve_ms: Some(1.0), connect_ms: None, tls_ms: None, first_byte_ms: Some(2.0) };
        assert_eq!(
            names(&timings, 4.0),
            [("DNS", 0.0, 250.0), ("first byte", 250.0, 500.0), ("rest", 750.0, 250.0)]
        );
        assert_eq!(names(&timings, 3.0).len(), 2, "nothing remains");
        timings = Timings { resolve_ms: None, first_byte_ms: None, ..timings };
        assert!(names(&timings, 4.0).is_empty(), "nothing was measured");
    }
}
