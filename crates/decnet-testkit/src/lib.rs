//! Test servers on loopback that misbehave by script.
//!
//! - [`script`]: the steps of a receiver;
//! - [`record`]: the requests that it received;
//! - [`receiver`]: the server, on a thread of its own so that it works with any runtime, or without one;
//! - [`frames`]: HTTP/2 frame by frame.
//!
//! This crate does not verify what it receives; tests verify it with the product's own code.

pub mod frames;
mod http1;
mod http2;
pub mod receiver;
pub mod record;
pub mod script;
mod tls;

pub use receiver::{Builder, Receiver};
pub use record::Request;
pub use script::{Reply, Script, Step, redirect, reply};
pub use tls::tls_acceptor;
