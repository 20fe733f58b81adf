//! Counters, gauges and histograms: relaxed atomics, without locks or allocations on update.
//!
//! Each value is consistent. Several values that are read one after another are not a snapshot of one moment.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// A monotonic counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Returns the current value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A value that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Sets the value, which is limited to `i64::MAX`.
    pub fn set(&self, n: u64) {
        self.0.store(i64::try_from(n).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Returns the current value; 0 if it is negative.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(0).unsigned_abs()
    }
}

/// A histogram with fixed buckets.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One count per bound, and one count for the values above the last bound.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The contents of a [`Histogram`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The inclusive upper bounds of the buckets, ascending. A last bucket, without a bound, follows.
    pub bounds: &'static [u64],
    /// The number of values in each bucket. There is one more bucket than there are bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// Creates a histogram with these bounds, in ascending order.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        debug_assert!(bounds.is_sorted());
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value.
    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration, in microseconds.
    pub fn observe_time(&self, duration: std::time::Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Returns the current contents.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Distribution {
    /// Returns the number of values.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the values that were counted after `earlier`, which is an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts);
        let counts = counts.map(|(now, then)| now.saturating_sub(*then)).collect();
        Self { bounds: self.bounds, counts, sum: self.sum.saturating_sub(earlier.sum) }
    }

    /// Adds the values of a distribution with the same bounds.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        self.sum += other.sum;
    }

    /// Returns the value below which a fraction of the values lies, interpolated within its bucket; `None` without values. Values
    /// above the last bound count as the last bound.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the buckets are wider than the loss")]
    pub fn quantile(&self, fraction: f64) -> Option<f64> {
        let wanted = fraction * self.total() as f64;
        let (mut lower, mut below) = (0, 0);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            if *count > 0 && (below + count) as f64 >= wanted {
                let part = (wanted - below as f64) / *count as f64;
                return Some((bound - lower) as f64 * part + lower as f64);
            }
            (lower, below) = (*bound, below + count);
        }
        (self.total() > 0).then_some(lower as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_bounds_of_buckets_are_inclusive() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 100, 101, 5000] {
            histogram.observe(value);
        }
        let read = histogram.read();
        assert_eq!((read.counts.as_slice(), read.sum, read.total()), (&[2, 2, 2, 2][..], 5225, 8));
    }

    #[test]
    fn quantile_is_interpolated_within_its_bucket() {
        let histogram = Histogram::new(&[100, 200, 400]);
        assert_eq!(histogram.read().quantile(0.5), None);
        let before = histogram.read();
        (0..4).for_each(|_| histogram.observe(150));
        let some = histogram.read();
        assert_eq!((some.quantile(0.5), some.quantile(1.0)), (Some(150.0), Some(200.0)));
        histogram.observe(5000);
        let mut all = histogram.read().since(&some);
        assert_eq!((all.total(), all.quantile(0.5)), (1, Some(400.0)), "above the last bound");
        all.add(&some.since(&before));
        assert_eq!(all, histogram.read());
    }

    #[test]
    fn negative_gauge_reads_as_zero() {
        let gauge = Gauge::default();
        gauge.add(-3);
        assert_eq!(gauge.get(), 0);
        gauge.add(4);
        assert_eq!(gauge.get(), 1);
        gauge.set(7);
        assert_eq!(gauge.get(), 7);
    }
}
