//! One connection to a bus, ours or DECNET's.
//!
//! - [`Sender`]: publishes, many events with one system call, and asks for patterns;
//! - [`Receiver`]: hands on everything that one read brings;
//! - [`Client`]: both, until they are split so that one task drains while another publishes. [`Client::confirm`]
//!   ends a connection once the bus has read everything.

mod receiver;
mod sender;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tokio::net::UnixStream;

use super::codec::{EncodeError, FrameError, JsonError};
use crate::notice::{self, Notice};
use crate::received::Received;

pub use self::receiver::Receiver;
pub use self::sender::Sender;

/// What goes wrong between a client and its bus.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the socket.
    #[error("no bus answers at {path}: {source}; is it running, and may this user connect?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The bus took the connection and ended it at once.
    #[error(
        "the bus at {0} refuses the connection: it has as many as it takes, in all or of this user; close some, or wait"
    )]
    Refused(PathBuf),
    /// The bus has said goodbye or closed the connection: connect again.
    #[error("the bus has closed the connection")]
    Closed,
    /// The connection broke.
    #[error("the connection to the bus broke: {0}")]
    Io(#[from] io::Error),
    /// The bus sent what is no frame: the connection is of no use any more.
    #[error("the bus sent a bad frame: {0}")]
    Frame(#[from] FrameError),
    /// The bus closed the connection while frames of ours were unread: nothing tells which ones it has read.
    #[error(
        "the bus closed the connection before it had read everything: it was stopped, or has no room for another \
         connection"
    )]
    Unread,
    /// The bus has not read everything in time, and has not closed the connection either.
    #[error("the bus has not read everything within {}", decnet_core::duration::show(*.0))]
    Unconfirmed(Duration),
    /// The bus takes nothing and much is waiting to be sent.
    #[error("the bus has stopped reading")]
    Stuck,
    /// What was to be sent does not fit the protocol; the connection is fine, nothing was sent.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The payload is no JSON that a reader could parse; the connection is fine, nothing was sent.
    #[error("the payload is {0}")]
    Payload(#[from] JsonError),
    /// Only the bus itself publishes this topic; the connection is fine, nothing was sent.
    #[error("the topic {0} is the bus's own: choose another one")]
    Reserved(Box<str>),
}

/// A connection that has greeted. Dropped, it simply closes; what was not flushed is gone.
#[derive(Debug)]
pub struct Client {
    sender: Sender,
    receiver: Receiver,
}

impl Client {
    /// Connects and greets with `name`, which the bus logs.
    ///
    /// [`LOSSLESS_CLIENT_NAME`](crate::LOSSLESS_CLIENT_NAME) asks a bus of ours for a large queue.
    ///
    /// # Errors
    /// [`Error::Connect`] when nobody answers, [`Error::Encode`] for a name that does not fit a header. A bus that refuses the
    /// connection is [`Error::Refused`] where that is known already, else the connection ends with the first use.
    pub async fn connect(path: &Path, name: &str) -> Result<Self, Error> {
        Self::connect_with(path, name, &[]).await
    }

    /// Connects as [`Self::connect`] and asks for [notices](Self::notice). DECNET's bus sends none.
    ///
    /// # Errors
    /// As there.
    pub async fn connect_with_notices(path: &Path, name: &str) -> Result<Self, Error> {
        Self::connect_with(path, name, notice::ASK).await
    }

    async fn connect_with(path: &Path, name: &str, greeting: &[u8]) -> Result<Self, Error> {
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

    /// See [`Receiver::notice`].
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        self.receiver.notice()
    }

    /// See [`Sender::publish`].
    ///
    /// # Errors
    /// As there.
    pub async fn publish(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.sender.publish(topic, kind, payload).await
    }

    /// See [`Sender::subscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn subscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.sender.subscribe(pattern).await
    }

    /// See [`Sender::unsubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn unsubscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.sender.unsubscribe(pattern).await
    }

    /// See [`Receiver::recv_batch`].
    ///
    /// # Errors
    /// As there.
    pub async fn recv_batch(&mut self, out: &mut Vec<Received>) -> Result<(), Error> {
        self.receiver.recv_batch(out).await
    }

    /// Ends the connection and returns once the bus has read everything that was sent on it. Drops events that
    /// arrive meanwhile.
    ///
    /// The protocol has no acknowledgement. But a bus, DECNET's as ours, handles the frames of a connection in order
    /// and closes it at `BYE`, so that the end of the stream confirms all frames before it. A bus that closes while
    /// frames are unread resets the connection instead.
    ///
    /// # Errors
    /// [`Error::Unread`] or [`Error::Io`] if the bus closed the connection early, [`Error::Unconfirmed`] if it has done
    /// nothing of this within `patience`. In each case the bus may have read some of the frames, or all.
    pub async fn confirm(self, patience: Duration) -> Result<(), Error> {
        let Self { sender, receiver } = self;
        let confirmed = async {
            sender.close().await?;
            receiver.until_end().await
        };
        tokio::time::timeout(patience, confirmed).await.unwrap_or(Err(Error::Unconfirmed(patience)))
    }

    /// Flushes and says goodbye. [`Self::confirm`] also waits until the bus has read it.
    ///
    /// # Errors
    /// A connection that broke before everything was written.
    pub async fn close(self) -> Result<(), Error> {
        self.sender.close().await
    }

    /// Flushes and says goodbye with the number of frames that were handed on, so that a bus of ours keeps
    /// the others for a successor. DECNET's takes it for any other `BYE`.
    ///
    /// Nothing more is read: the bus knows what the socket may hold, not what would be read out of it still.
    pub(crate) async fn hand_back(self) -> Result<(), Error> {
        let had = self.receiver.frames().to_string();
        self.sender.close_with(&had).await
    }

    /// The half that publishes and subscribes, to add many events before one flush.
    #[must_use]
    pub fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Two halves for two tasks. The connection closes when both are dropped, or with [`Sender::close`].
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// Both halves, borrowed for one `select!`.
    pub(crate) fn halves(&mut self) -> (&mut Sender, &mut Receiver) {
        (&mut self.sender, &mut self.receiver)
    }
}
