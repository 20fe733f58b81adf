//! The queue's laws, on real files.

#![expect(clippy::unwrap_used, reason = "a test fails where its ground gives way")]

mod admission;
mod claims;
mod closing;
mod displaced;
mod erasure;
mod files;
mod full_disk;
mod ids;
mod log_size;
mod migration;
mod model;
mod reading;
mod redelivery;
mod remembered;
mod retention;
mod submission;
mod support;
mod takeover;
mod times;
