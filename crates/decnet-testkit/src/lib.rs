//! Test servers: real ones, on loopback, that misbehave by script.
//!
//! - [`script`]: what a receiver does with each request;
//! - [`record`]: what it has seen;
//! - [`receiver`]: the server, on a thread of its own so that it works beside any runtime, or none;
//! - [`frames`]: HTTP/2 frame by frame.
//!
//! A test verifies what it reads here with the product's own code; nothing is verified here.

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
