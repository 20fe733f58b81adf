//! Quantiles of measured durations.

use std::fmt;
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::format::millis;

/// Quantiles of durations; in JSON in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The number of durations.
    pub count: usize,
    /// The median.
    #[serde(rename = "p50_ms", serialize_with = "as_millis")]
    pub p50: Duration,
    /// The 99th percentile.
    #[serde(rename = "p99_ms", serialize_with = "as_millis")]
    pub p99: Duration,
    /// The longest duration.
    #[serde(rename = "max_ms", serialize_with = "as_millis")]
    pub max: Duration,
}

impl Quantiles {
    /// Returns the quantiles of these durations; without durations, all quantiles are 0.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |percent| percentile(&times, percent);
        Self { count: times.len(), p50: at(50.0), p99: at(99.0), max: at(100.0) }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (p50), {} (p99)", millis(self.p50), millis(self.p99))
    }
}

/// Returns a percentile of sorted values by the nearest-rank method, or the default if there are none.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and positive")]
pub fn percentile<T: Copy + Default>(sorted: &[T], percent: f64) -> T {
    let rank = (sorted.len() as f64 * percent / 100.0).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

fn as_millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_measured_values() {
        let times = (1..=200).rev().map(Duration::from_millis).collect();
        let Quantiles { count, p50, p99, max } = Quantiles::of(times);
        assert_eq!((count, p50.as_millis(), p99.as_millis(), max.as_millis()), (200, 100, 198, 200));
        assert_eq!(Quantiles::of(Vec::new()), Quantiles::default());
    }
}
