//! The UNIX-socket bus that DECNET's processes use, as server and as client.
//!
//! - [`Received`]: one event as the bus delivered it, with its body unparsed;
//! - [`Losses`]: the loss counters in the heartbeat; [`Notice`]: a report of the bus to one connection;
//! - [`Applied`]: the report of a worker after a change of the subscriptions;
//! - [`default_socket_path`]: the default path of the socket;
//! - [`broker`]: the daemon: [`Server`], [`ServerOptions`];
//! - [`client`]: one connection: [`Client`], split into [`Sender`] and [`Receiver`];
//! - [`reconnect`]: a connection that reconnects automatically: [`Source`], [`Step`];
//! - [`protocol`]: the wire format, as pure functions on bytes.
//!
//! The bus does not acknowledge events: an event reaches a reader at most once. The server drops events only if a reader
//! is too slow, and reports every drop. For a lossless reader ([`Lossless`]) the server first applies backpressure to
//! publishers, and it retains events while that reader is disconnected.

mod applied;
pub mod broker;
pub mod client;
mod losses;
mod notice;
mod path;
pub mod protocol;
mod read_buffer;
mod received;
pub mod reconnect;

pub use applied::Applied;
pub use broker::{
    Error as ServerError, FrameTimeouts, LOSSLESS_CLIENT_NAME, Lossless, Options as ServerOptions, Server,
    Users,
};
pub use client::{Client, Error as ClientError, Receiver, Sender};
pub use losses::Losses;
pub use notice::Notice;
pub use path::default_socket_path;
pub use received::{Received, Topic};
pub use reconnect::{Source, Step};
