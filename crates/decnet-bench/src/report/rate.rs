//! Rates and medians.

use serde::{Deserialize, Serialize};

/// Deliveries in a period, and the CPU time of the sending process.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
}

impl Rate {
    pub(crate) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }

    /// Returns the CPU seconds per 100,000 deliveries.
    pub(crate) fn cpu_per_100k(&self) -> f64 {
        self.per_100k(self.cpu_seconds)
    }

    /// Scales `seconds` to 100,000 deliveries.
    pub(crate) fn per_100k(&self, seconds: f64) -> f64 {
        seconds * 1e5 / self.deliveries as f64
    }
}

/// Returns the median; for an even number of figures the mean of the middle two, for none 0.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_figure() {
        assert!((median([9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median([9.0, 2.0, 1.0, 4.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median([]).abs() < f64::EPSILON);
    }
}
