//! The half of a connection that publishes and asks.

use std::io::{self, ErrorKind};

use decnet_core::topic::own::BUS_HEALTH_TOPIC;
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;

use super::Error;
use crate::notice;
use crate::unix::codec::{EncodeError, Verb, check_payload, encode, encode_publication};

/// [`Sender::feed`] writes when this much has come together.
const FLUSH_BYTES: usize = 64 * 1024;

/// Publishes and subscribes. Frames gather in a buffer until they are flushed, in order.
#[derive(Debug)]
pub struct Sender {
    socket: OwnedWriteHalf,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that are written.
    written: usize,
}

impl Sender {
    pub(super) fn new(socket: OwnedWriteHalf) -> Self {
        Self { socket, buffer: Vec::new(), written: 0 }
    }

    /// Publishes one event and writes it at once. The bus confirms nothing.
    ///
    /// # Errors
    /// [`Error::Encode`] for a topic or payload that does not fit a frame, [`Error::Io`] when the connection
    /// is broken.
    pub async fn publish(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.enqueue(topic, kind, payload)?;
        self.flush().await
    }

    /// Publishes one event of many: writes only when enough has gathered. Call [`Self::flush`] at the end.
    ///
    /// # Errors
    /// As [`Self::publish`].
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
    /// [`Error::Encode`] or [`Error::Reserved`], and then nothing was added.
    pub fn enqueue(
        &mut self,
        topic: &str,
        kind: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        require(topic)?;
        if topic == BUS_HEALTH_TOPIC {
            return Err(Error::Reserved(topic.into()));
        }
        Ok(encode_publication(&mut self.buffer, topic, kind, payload)?)
    }

    /// Adds an event whose payload is JSON already; it is checked, and sent as it stands.
    ///
    /// # Errors
    /// [`Error::Payload`] for what is no JSON that every reader can parse, else as [`Self::enqueue`].
    pub fn enqueue_json(&mut self, topic: &str, kind: &str, payload: &str) -> Result<(), Error> {
        self.enqueue(topic, kind, check_payload(payload)?)
    }

    /// Asks for the events of a pattern, at once.
    ///
    /// # Errors
    /// [`Error::Encode`] for a pattern that does not fit a frame, [`Error::Io`] when the connection is broken.
    pub async fn subscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.enqueue_subscribe(pattern)?;
        self.flush().await
    }

    /// Asks for them no longer. Events that are on their way still come.
    ///
    /// # Errors
    /// As [`Self::subscribe`].
    pub async fn unsubscribe(&mut self, pattern: &str) -> Result<(), Error> {
        self.enqueue_unsubscribe(pattern)?;
        self.flush().await
    }

    /// Adds a `SUB` to the buffer; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing was added.
    pub fn enqueue_subscribe(&mut self, pattern: &str) -> Result<(), Error> {
        require(pattern)?;
        self.enqueue_frame(Verb::Sub, pattern)
    }

    /// Adds an `UNSUB` to the buffer; [`Self::flush`] sends it.
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing was added.
    pub fn enqueue_unsubscribe(&mut self, pattern: &str) -> Result<(), Error> {
        require(pattern)?;
        self.enqueue_frame(Verb::Unsub, pattern)
    }

    /// Adds a `HELLO` to the buffer that asks for notices; [`Self::flush`] sends it. A bus of ours looks again at what the
    /// name asks for.
    ///
    /// # Errors
    /// [`Error::Encode`], and then nothing was added.
    pub fn enqueue_greeting_for_notices(&mut self, name: &str) -> Result<(), Error> {
        self.enqueue_greeting(name, notice::ASK)
    }

    pub(super) fn enqueue_greeting(&mut self, name: &str, body: &[u8]) -> Result<(), Error> {
        Ok(encode(&mut self.buffer, Verb::Hello, name, body)?)
    }

    fn enqueue_frame(&mut self, verb: Verb, args: &str) -> Result<(), Error> {
        Ok(encode(&mut self.buffer, verb, args, &[])?)
    }

    /// Bytes that wait for [`Self::flush`].
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len() - self.written
    }

    /// Writes everything that waits. Cancelled, it goes on where it was when it is called again.
    ///
    /// # Errors
    /// [`Error::Unread`] when the bus has closed the connection, [`Error::Io`] when it is broken otherwise.
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

    /// Flushes, says goodbye and closes this half.
    ///
    /// # Errors
    /// A connection that broke before everything was written.
    pub async fn close(self) -> Result<(), Error> {
        self.close_with("").await
    }

    pub(super) async fn close_with(mut self, last_words: &str) -> Result<(), Error> {
        self.enqueue_frame(Verb::Bye, last_words)?;
        self.flush().await?;
        // A bus that has read `BYE` may have closed its end by now.
        match self.socket.shutdown().await {
            Err(error) if error.kind() != ErrorKind::NotConnected => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Tells a connection that the other side has closed from other faults of the system.
fn closed_early(error: io::Error) -> Error {
    match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Error::Unread,
        _ => error.into(),
    }
}

/// A bus closes the connection over a missing argument.
fn require(args: &str) -> Result<(), Error> {
    if args.is_empty() { Err(EncodeError::Args("".into()).into()) } else { Ok(()) }
}
