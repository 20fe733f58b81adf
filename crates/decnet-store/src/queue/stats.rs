//! Metrics of the queue's writer.

use decnet_runtime::metrics::{Counter, Gauge, Histogram};

/// Bucket bounds of commit durations, in microseconds.
const COMMIT_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000,
];
/// Bucket bounds of the rows of a commit.
const ROW_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/// Metrics of the writer since the queue was opened.
#[derive(Debug)]
pub struct Stats {
    /// Duration of each writing transaction, from its begin to the end of its commit, in microseconds.
    pub commit_time: Histogram,
    /// Duration of the transaction's `COMMIT` alone, which writes and syncs the log, in microseconds.
    pub sync_time: Histogram,
    /// Approximate number of rows that each transaction wrote.
    pub commit_rows: Histogram,
    /// Commits that failed because of the disk or another process; each commit was retried.
    pub commit_failures: Counter,
    /// Length of the write-ahead log since it last restarted, in bytes.
    pub log_bytes: Gauge,
    /// 1 while a reader prevents the log from restarting.
    pub log_held: Gauge,
    /// Bytes in use in the database file, at the last step of retention.
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
