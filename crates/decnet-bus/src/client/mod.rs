//! One connection to the bus, this project's or DECNET's.
//!
//! - [`Sender`]: publishes many events with one system call, and subscribes to patterns;
//! - [`Receiver`]: returns all events of one read;
//! - [`Client`]: both halves, which two tasks may use. [`Client::confirm`] closes the connection once the bus has read everything.

mod receiver;
mod sender;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::net::UnixStream;

use crate::protocol::{EncodeError, FrameError, JsonError};
use crate::received::Received;

pub use self::receiver::Receiver;
pub use self::sender::Sender;

/// An error of a bus connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The socket does not accept connections.
    #[error(
        "cannot connect to the bus at {path}: {source}; check that it is running and that this user may connect"
    )]
    Connect {
        /// The path of the socket.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The bus accepted the connection and closed it at once.
    #[error(
        "the bus at {0} refused the connection: the limit on connections, in all or for this user, is reached; close \
         some connections, or wait"
    )]
    Refused(PathBuf),
    /// The bus ended the connection. Connect again.
    #[error("the bus has closed the connection")]
    Closed,
    /// The connection failed.
    #[error("the connection to the bus failed: {0}")]
    Io(#[from] io::Error),
    /// The bus sent an invalid frame. The connection is unusable.
    #[error("the bus sent an invalid frame: {0}")]
    Frame(#[from] FrameError),
    /// The bus closed the connection before it had read every frame. It is unknown which frames it has read.
    #[error(
        "the bus closed the connection before it had read everything: it was stopped, or its limit on connections is \
         reached"
    )]
    Unread,
    /// The bus has neither read everything in time nor closed the connection.
    #[error("the bus did not read everything within {}", decnet_core::duration::show(*.0))]
    Unconfirmed(Duration),
    /// The bus does not read, and the send buffer has reached its limit.
    #[error("the bus has stopped reading")]
    Stuck,
    /// The value does not fit the protocol. Nothing was sent; the connection is still usable.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Not every reader could parse the payload. Nothing was sent; the connection is still usable.
    #[error("the payload is {0}")]
    Payload(#[from] JsonError),
    /// Only the bus itself publishes this topic. Nothing was sent; the connection is still usable.
    #[error("the topic {0} is reserved for the bus: choose another topic")]
    Reserved(Box<str>),
}

impl Error {
    /// Returns whether no bus is running: the socket does not exist, or no process listens there.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, Self::Connect { source, .. } if matches!(source.kind(), NotFound | ConnectionRefused))
    }
}

/// A connection that has sent its `HELLO`. Dropping it closes it; unflushed frames are discarded.
#[derive(Debug)]
pub struct Client {
    /// The half that publishes and subscribes; enqueues many events before one flush.
    pub sender: Sender,
    /// The half that receives.
    pub receiver: Receiver,
}

impl Client {
    /// Connects and sends `HELLO` with `name`, which the bus logs.
    ///
    /// [`LOSSLESS_CLIENT_NAME`](crate::LOSSLESS_CLIENT_NAME) requests a lossless queue from this project's bus.
    ///
    /// # Errors
    /// [`Error::Connect`] if the socket does not accept connections, [`Error::Encode`] for a name that does not fit a header.
    /// If the bus refuses the connection, [`Error::Refused`] if that is already known; otherwise the first use fails.
    pub async fn connect(path: &Path, name: &str) -> Result<Self, Error> {
        Self::connect_with(path, name, &[]).await
    }

    pub(crate) async fn connect_with(path: &Path, name: &str, greeting: &[u8]) -> Result<Self, Error> {
        let connected = UnixStream::connect(path).await;
        let stream = connected.map_err(|source| Error::Connect { path: path.to_owned(), source })?;
        let (reader, writer) = stream.into_split();
        let mut sender = Sender::new(writer);
        sender.enqueue_greeting(name, greeting)?;
        sender.flush().await.map_err(|error| match error {
            Error::Unread => Error::Refused(path.to_owned()),
            error => error,
        })?;
        Ok(Self { sender, receiver: Receiver::new(reader) })
    }

    /// Publishes one event and flushes. The bus does not acknowledge it.
    ///
    /// # Errors
    /// [`Error::Encode`] for a topic or payload that does not fit a frame, [`Error::Io`] if the connection failed.
    pub async fn publish(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.sender.enqueue(topic, kind, payload)?;
        self.sender.flush().await
    }

    /// Subscribes to a pattern and flushes.
    ///
    /// # Errors
    /// [`Error::Encode`] for a pattern that does not fit a frame, [`Error::Io`] if the connection failed.
    pub async fn subscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.sender.enqueue_subscribe(pattern)?;
        self.sender.flush().await
    }

    /// See [`Receiver::recv_batch`].
    ///
    /// # Errors
    /// See [`Receiver::recv_batch`].
    pub async fn recv_batch(&mut self, out: &mut Vec<Received>) -> Result<(), Error> {
        self.receiver.recv_batch(out).await
    }

    /// Closes the connection and returns once the bus has read everything that was sent on it. Discards events that
    /// arrive meanwhile.
    ///
    /// The protocol has no acknowledgement. But both buses process the frames of a connection in order and close it at
    /// `BYE`, so the end of the stream confirms all frames before it. A bus that closes while frames are unread resets the
    /// connection instead.
    ///
    /// # Errors
    /// [`Error::Unread`] or [`Error::Io`] if the bus closed the connection early, [`Error::Unconfirmed`] if it did
    /// neither within `patience`. In each case the bus may have read some of the frames, or all.
    pub async fn confirm(self, patience: Duration) -> Result<(), Error> {
        let Self { sender, receiver } = self;
        let confirmed = async {
            sender.close().await?;
            receiver.drain().await
        };
        tokio::time::timeout(patience, confirmed).await.unwrap_or(Err(Error::Unconfirmed(patience)))
    }

    /// Flushes and sends `BYE`. [`Self::confirm`] also waits until the bus has read it.
    ///
    /// # Errors
    /// The connection failed before everything was written.
    pub async fn close(self) -> Result<(), Error> {
        self.sender.close().await
    }

    /// Flushes and sends `BYE` with the number of frames that were returned to the caller, so that this project's bus
    /// keeps all other events for a successor. DECNET's bus treats it as any other `BYE`.
    ///
    /// Reads nothing more: the bus must know what the socket may still hold.
    pub(crate) async fn close_resumable(self) -> Result<(), Error> {
        let received = self.receiver.frames().to_string();
        self.sender.close_with(&received).await
    }
}
