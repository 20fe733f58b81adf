//! The sender against real receivers: one file for each property it holds.

mod connections;
mod egress;
mod faults;
mod request;
mod support;
mod tls;
