//! The sending half of a connection.

use std::io::{self, ErrorKind};

use decnet_core::topic::system_topics::BUS_HEALTH_TOPIC;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;

use super::Error;
use crate::notice;
use crate::protocol::{EncodeError, Verb, check_payload, encode, encode_publication};

/// The number of buffered bytes at which [`Sender::feed`] flushes.
const FLUSH_BYTES: usize = 64 * 1024;

/// The sending half: publishes and subscribes. Frames are buffered until they are flushed, in order.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedWriteHalf,
    buffer: Vec<u8>,
    /// The number of bytes at the front of the buffer that are already written.
    written: usize,
}

impl Sender {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket, buffer: Vec::new(), written: 0 }
    }

    /// Publishes one event of many; flushes only when enough bytes are buffered. Call [`Self::flush`] at the end.
    ///
    /// # Errors
    /// [`Error::Encode`] for a topic or payload that does not fit a frame, [`Error::Io`] if the connection failed.
    pub async fn feed(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.enqueue(topic, kind, payload)?;
        if self.buffered() >= FLUSH_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Adds an event to the buffer; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// [`Error::Encode`] or [`Error::Reserved`]; in both cases, nothing is added.
    pub fn enqueue(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        require_argument(topic)?;
        if topic == BUS_HEALTH_TOPIC {
            return Err(Error::Reserved(topic.into()));
        }
        Ok(encode_publication(&mut self.buffer, topic, kind, payload)?)
    }

    /// Adds an event whose payload is JSON text, which is checked and sent verbatim.
    ///
    /// # Errors
    /// [`Error::Payload`] for JSON that not every reader can parse, else see [`Self::enqueue`].
    pub fn enqueue_json(&mut self, topic: &str, kind: &str, payload: &str) -> Result<(), Error> {
        self.enqueue(topic, kind, check_payload(payload)?)
    }

    /// Adds a `SUB` to the buffer; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// [`Error::Encode`]; in this case, nothing is added.
    pub fn enqueue_subscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.enqueue_pattern(Verb::Sub, pattern)
    }

    /// Adds an `UNSUB` to the buffer; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// [`Error::Encode`]; in this case, nothing is added.
    pub fn enqueue_unsubscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.enqueue_pattern(Verb::Unsub, pattern)
    }

    /// Adds a `HELLO` that requests notices to the buffer; [`Self::flush`] sends it. This project's bus then decides again
    /// about what the name requests.
    ///
    /// # Errors
    /// [`Error::Encode`]; in this case, nothing is added.
    pub fn enqueue_greeting_for_notices(&mut self, name: &str) -> Result<(), Error> {
        self.enqueue_greeting(name, notice::ASK)
    }

    pub(super) fn enqueue_greeting(&mut self, name: &str, body: &[u8]) -> Result<(), Error> {
        Ok(encode(&mut self.buffer, Verb::Hello, name, body)?)
    }

    fn enqueue_pattern(&mut self, verb: Verb, pattern: &str) -> Result<(), Error> {
        require_argument(pattern)?;
        Ok(encode(&mut self.buffer, verb, pattern, &[])?)
    }

    /// Returns the number of bytes that wait for [`Self::flush`].
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Writes the whole buffer. Cancel safe: the next call continues where this one stopped.
    ///
    /// # Errors
    /// [`Error::Unread`] if the bus has closed the connection, [`Error::Io`] for other failures.
    pub async fn flush(&mut self) -> Result<(), Error> {
        while self.buffered() > 0 {
            let written = self.socket.write(&self.buffer[self.written..]).await;
            self.written += written.map_err(closed_early)?;
        }
        self.buffer.clear();
        self.buffer.shrink_to(2 * FLUSH_BYTES);
        self.written = 0;
        Ok(())
    }

    /// Flushes, sends `BYE` and closes this half.
    ///
    /// # Errors
    /// The connection failed before everything was written.
    pub async fn close(self) -> Result<(), Error> {
        self.close_with("").await
    }

    pub(super) async fn close_with(mut self, args: &str) -> Result<(), Error> {
        encode(&mut self.buffer, Verb::Bye, args, &[])?;
        self.flush().await?;
        // The bus may already have closed its end after reading `BYE`.
        match self.socket.shutdown().await {
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Distinguishes a connection that the peer has closed from other errors of the system.
fn closed_early(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Error::Unread,
        _ => error.into(),
    }
}

/// Rejects an empty argument, for which the bus would close the connection.
fn require_argument(args: &str) -> Result<(), Error> {
    if args.is_empty() { Err(EncodeError::Args("".into()).into()) } else { Ok(()) }
}
