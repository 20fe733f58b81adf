//! One attempt: sign, take or make a connection, POST, read a bounded reply; one deadline over all of it.
//!
//! ```text
//! request ──► pool ──► POST ──► response
//!               │       ▲
//!   (none idle) ▼       │
//!            connect ───┘
//!   resolve ► egress guard ► dial ► TLS
//! ```
//!
//! - `request`: what a subscription fixes is prepared once, the rest is written per attempt;
//! - `egress`: which addresses may be dialled;
//! - `resolve`, `tls`, `verifier`, `connect`: a new connection;
//! - `sockets`: how many there may be, and what this host may lack for another;
//! - `meter`: how much a receiver may send;
//! - `http1`, `http2`: requests and replies on a connection;
//! - `pool`: connections that wait for their next request, by origin;
//! - `repeat`: when a request is sent again within its attempt;
//! - `response`: status, `Retry-After`, the beginning of the body;
//! - `fault`: why there was no reply; `texts`: the same for an operator.
//!
//! Everything runs on one thread, in a [`tokio::task::LocalSet`].

mod attempt;
mod connect;
mod egress;
mod fault;
mod http1;
mod http2;
mod meter;
mod pool;
mod repeat;
mod request;
mod resolve;
mod response;
mod sockets;
mod texts;
mod tls;
mod verifier;

pub use attempt::{Attempted, Error, Options, Sender};
pub use decnet_core::delivery::Timings;
pub use egress::{Forbidden, Guard};
pub use request::{Message, Target, TargetError};
pub use resolve::Resolver;
pub use tls::Roots;
