//! Tests of the catalog on real SQLite files.

#![expect(clippy::unwrap_used, reason = "a failed setup fails the test")]

mod audit;
mod concurrent_writers;
mod credentials;
mod diff;
mod edits;
mod encryption;
mod extension_table;
mod fence;
mod files;
mod first_revision;
mod health;
mod invalid_rows;
mod links;
mod secrecy;
mod sessions;
mod support;
mod tokens;
