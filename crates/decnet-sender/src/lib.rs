//! One delivery attempt: takes or opens a connection, signs and POSTs the request, and reads a bounded reply, all within
//! one deadline.
//!
//! ```text
//! request ──► pool ──► POST ──► response
//!               │       ▲
//!   (none idle) ▼       │
//!            connect ───┘
//!   resolve ► egress guard ► dial ► TLS
//! ```
//!
//! - `attempt`: the pipeline and its deadline, behind [`Sender`]; `attempt_result`; `options`: its settings;
//! - `request`: the parts of a request that the subscription determines, prepared once, and the parts written per attempt;
//!   `headers`: the headers that are the same in every request;
//! - `preview`: a request as operators see it, without its secrets;
//! - `pool`: open connections by origin, and the precautions against origins that misbehave;
//! - `connect`: a new connection, through `resolve`, `egress` (which addresses may be dialled), `tls` and `verifier`;
//! - `identity`: client certificates and trusted roots of subscriptions; `tokens`: access tokens of authorization servers;
//! - `proxy`: connections through an HTTP proxy;
//! - `sockets`: the limit on open sockets, and the shortages of this host;
//! - `meter`: the limit on the bytes that a receiver sends;
//! - `http1`, `http2`: requests and replies on a connection;
//! - `response`: status, `Retry-After` and the beginning of the body;
//! - `no_reply`: the reasons for a missing reply; `repeat`: the decision whether the request is sent again within its attempt;
//! - `fault`: the failure of an attempt; `texts`: descriptions of errors for operators.
//!
//! A subscription with a format has a [`Destination`], which renders its requests and judges the replies.
//!
//! Everything runs on one thread, in a [`tokio::task::LocalSet`].

mod acknowledgement;
mod attempt;
mod attempt_result;
mod connect;
mod destination;
mod egress;
mod fault;
mod headers;
mod http1;
mod http2;
mod identity;
mod meter;
mod no_reply;
mod options;
mod pool;
mod preview;
mod proxy;
mod repeat;
mod request;
mod resolve;
mod response;
mod sockets;
mod texts;
mod tls;
mod tokens;
mod verifier;

pub use attempt::Sender;
pub use attempt_result::AttemptResult;
pub use decnet_core::delivery::Timings;
pub use destination::{Destination, RenderContext, body_hash, judge};
pub use egress::{EgressGuard, ForbiddenAddress};
pub use identity::{CredentialsProblem, check_credentials};
pub use options::Options;
pub use preview::Preview;
pub use proxy::{Proxy, ProxyError};
pub use request::{Message, Target, TargetError};
pub use resolve::Resolver;
pub use response::ReplyHeaders;
pub use tls::Roots;
