//! What is counted while it happens, and read by others meanwhile: relaxed atomics, no lock and no allocation.
//!
//! A reading of several of them is never one moment's: each is right by itself.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// Only ever grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// So many more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The value now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Goes up and down, or is set to what was found elsewhere.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// So many more, or less.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// It is so many; beyond `i64::MAX`, as many.
    pub fn set(&self, n: u64) {
        self.0.store(i64::try_from(n).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// The value now, which is never below zero to whoever reads it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(0).unsigned_abs()
    }
}

/// How often a value fell between which bounds, and the sum of all.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One more than there are bounds.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// The upper bounds, each included in its bucket; what is above the last is counted behind it.
    pub bounds: &'static [u64],
    /// How many values fell into each bucket: one more than there are bounds.
    pub counts: Vec<u64>,
    /// Of all values.
    pub sum: u64,
}

impl Histogram {
    /// One with these bounds, which ascend.
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

    /// What was counted so far.
    #[must_use]
    pub fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Distribution {
    /// How many values there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(&[1, 10, 100]);
        for value in [0, 1, 2, 10, 11, 100, 101, 5000] {
            histogram.observe(value);
        }
        let read = histogram.read();
        assert_eq!((read.counts.as_slice(), read.sum, read.total()), (&[2, 2, 2, 2][..], 5225, 8));
    }

    #[test]
    fn a_gauge_that_was_counted_down_too_far_reads_as_nothing() {
        let gauge = Gauge::default();
        gauge.add(-3);
        assert_eq!(gauge.get(), 0);
        gauge.add(4);
        assert_eq!(gauge.get(), 1);
        gauge.set(7);
        assert_eq!(gauge.get(), 7);
    }
}
