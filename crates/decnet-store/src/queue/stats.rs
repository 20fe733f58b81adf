//! What the queue's writer counts.

use decnet_core::measure::{Counter, Gauge, Histogram};

/// Durations of a commit, in microseconds.
const COMMIT_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];
/// Rows of a commit.
const ROW_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/// What the writer has done since the queue was opened.
#[derive(Debug)]
pub struct Stats {
    /// Transactions that wrote, from their begin to the end of their commit, in microseconds.
    pub commit_time: Histogram,
    /// Of that, `COMMIT` alone: the log is written and the disk waited for, in microseconds.
    pub sync_time: Histogram,
    /// About how many rows each of them wrote.
    pub commit_rows: Histogram,
    /// Commits that the disk, or another process, refused; each was tried again.
    pub commit_failures: Counter,
    /// The write-ahead log's length, in bytes: what is in it and not yet begun anew.
    pub log_bytes: Gauge,
    /// 1 while a reader keeps the log from beginning anew.
    pub log_held: Gauge,
    /// Of the database file, what is in use; seen by retention.
    pub used_bytes: Gauge,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            commit_time: Histogram::new(COMMIT_BOUNDS),
            sync_time: Histogram::new(COMMIT_BOUNDS),
            commit_rows: Histogram::new(ROW_BOUNDS),
            commit_failures: Counter::default(),
            log_bytes: Gauge::default(),
            log_held: Gauge::default(),
            used_bytes: Gauge::default(),
        }
    }
}
