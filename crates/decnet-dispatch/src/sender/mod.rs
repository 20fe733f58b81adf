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
//! - `http1`: HTTP/1.1 on one connection; HTTP/2 is hyper's;
//! - `pool`: connections that wait for their next request, by origin;
//! - `response`: status, `Retry-After`, the beginning of the body;
//! - `fault`: why there was no reply; `texts`: the same for an operator.
//!
//! Everything runs on one thread, in a [`tokio::task::LocalSet`]. An attempt sends its request at most once:
//! only a request of which provably no byte was sent, because its pooled connection was found closed, goes
//! out on a fresh one instead.

mod attempt;
mod connect;
mod egress;
mod fault;
mod http1;
mod pool;
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
