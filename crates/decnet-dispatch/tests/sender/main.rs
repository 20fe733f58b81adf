//! The sender against real receivers: one file for each property it holds.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
mod egress;
mod faults;
mod request;
mod settings;
mod support;
mod tls;
