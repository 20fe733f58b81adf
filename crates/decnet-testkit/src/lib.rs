//! Test servers on loopback that misbehave by script.
//!
//! - [`script`]: the steps of a receiver;
//! - [`record`]: the requests that it received;
//! - [`receiver`]: the server, on a thread of its own so that it works with any runtime, or without one;
//! - [`frames`]: HTTP/2 frame by frame;
//! - [`proxy`]: an HTTP proxy;
//! - [`rerun`]: tests that run again in a child process, as another user or in a network of their own.
//!
//! This crate does not verify what it receives; tests verify it with the product's own code.

pub mod frames;
mod http1;
mod http2;
pub mod proxy;
pub mod receiver;
pub mod record;
pub mod rerun;
pub mod script;
mod tls;

pub use proxy::Proxy;
pub use receiver::{Builder, Receiver};
pub use record::Request;
pub use script::{Reply, Script, Step, redirect, reply};
pub use tls::{ClientCertificate, tls_acceptor};
