//! Properties of the queue, on real files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod admission;
mod backfill;
mod claims;
mod clock_correction;
mod closing;
mod deduplication;
mod erasure;
mod event_ids;
mod explanations;
mod files;
mod listing;
mod migration;
mod model;
mod moved_files;
mod reader;
mod redelivery;
mod retention;
mod submission;
mod support;
mod takeover;
mod wal_size;
mod write_failures;
