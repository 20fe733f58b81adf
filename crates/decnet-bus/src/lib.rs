//! Where events come from: the UNIX-socket bus that DECNET's processes speak, as server and as client.
//!
//! - [`Received`]: one event as the bus delivered it, its body unparsed;
//! - [`Losses`]: what a bus of ours reports that it lost; [`Notice`]: what it reports to one connection;
//! - [`Applied`]: what a worker reports after a change of the subscriptions;
//! - [`default_socket_path`]: where the socket is when nobody says;
//! - [`unix::server`]: the daemon: [`Server`], [`ServerOptions`];
//! - [`unix::client`]: one connection: [`Client`], split into [`Sender`] and [`Receiver`];
//! - [`unix::reconnect`]: a connection that heals itself: [`Source`], [`Step`];
//! - [`unix::codec`]: the wire format, pure functions on bytes.
//!
//! The bus acknowledges nothing: an event reaches a reader at most once. What a reader has in its hands it
//! may lose only by its own doing; what a server drops, it drops because a reader was too slow, and says so.
//! For a lossless reader ([`Lossless`]) the server first makes publishers wait, and it keeps what comes while
//! that reader is away.
//!
//! A further transport gets a module beside [`unix`] and delivers [`Received`] too.

mod applied;
mod losses;
mod notice;
mod path;
mod received;
mod said;
pub mod unix;

pub use applied::Applied;
pub use losses::Losses;
pub use notice::Notice;
pub use path::default_socket_path;
pub use received::{Received, Topic};
pub use unix::client::{Client, Error as ClientError, Receiver, Sender};
pub use unix::reconnect::{Source, Step};
pub use unix::server::{
    Error as ServerError, FrameTimeouts, LOSSLESS_CLIENT_NAME, Lossless, Options as ServerOptions, Server,
    Users,
};
