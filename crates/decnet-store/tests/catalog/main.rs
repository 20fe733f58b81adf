//! The catalog's laws, on real SQLite files: bad rows, the version fence, counters, an operator's edits,
//! files that are none, and secrets that stay secret.

#![expect(clippy::unwrap_used, reason = "a test fails where its ground gives way")]

mod asked_for;
mod bad_rows;
mod changes;
mod edits;
mod fence;
mod files;
mod first_revision;
mod health;
mod others_write;
mod secrecy;
mod sessions;
mod support;
mod tokens;
