//! The receiving half of a connection.

use std::io::ErrorKind;

use bytes::Bytes;
use tokio::net::unix::OwnedReadHalf;

use super::Error;
use crate::notice::{BUS_NAME, Notice};
use crate::protocol::{FrameError, Layout, Verb, locate};
use crate::read_buffer::ReadBuffer;
use crate::received::{Received, Topic};

/// The receiving half. Drain it continuously: the bus drops the oldest events of a slow reader.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedReadHalf,
    buffer: ReadBuffer,
    got_bye: bool,
    /// The number of events and notices received.
    frames: u64,
    notice: Option<Notice>,
    /// Whether a notice has arrived for which no call has returned yet.
    notice_pending: bool,
}

impl Receiver {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        let buffer = ReadBuffer::new();
        Self { socket, buffer, got_bye: false, frames: 0, notice: None, notice_pending: false }
    }

    /// Waits for events and appends all events of one read: at least one, or none if a [notice](Self::notice) arrived.
    /// Cancel safe. Returns every event before it reports the end of the connection.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end of the stream, [`Error::Io`] or [`Error::Frame`] if the connection is unusable. Every
    /// further call then fails too.
    pub async fn recv_batch(&mut self, out: &mut Vec<Received>) -> Result<(), Error> {
        let before = out.len();
        loop {
            let decoded = self.decode_all(out);
            if out.len() > before || std::mem::take(&mut self.notice_pending) {
                return Ok(());
            }
            decoded?;
            if self.got_bye || self.is_at_end().await? {
                return Err(Error::Closed);
            }
        }
    }

    /// Reads and discards everything up to the end of the stream.
    ///
    /// # Errors
    /// [`Error::Unread`] if the bus closed the connection with frames of this client unread (`unix(7)`: `ECONNRESET`),
    /// [`Error::Io`] for every other error of the system.
    pub(super) async fn drain(mut self) -> Result<(), Error> {
        loop {
            match self.buffer.fill(&mut self.socket).await {
                Ok(0) => return Ok(()),
                Ok(_) => self.buffer.skip(self.buffer.as_slice().len()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Error::Unread),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns the last notice of the bus. `None` if it has sent none: DECNET's bus never sends notices, this project's
    /// only to a client that [requested them](super::Sender::enqueue_greeting_for_notices).
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// Returns the number of events and notices received on this connection.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Reads once. A connection reset counts as the end of the stream: the bus closed with unread frames.
    async fn is_at_end(&mut self) -> Result<bool, Error> {
        match self.buffer.fill(&mut self.socket).await {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Decodes all complete frames of the buffer. An invalid frame remains there, so that every further call fails.
    fn decode_all(&mut self, out: &mut Vec<Received>) -> Result<(), FrameError> {
        while !self.got_bye {
            let Some(layout) = locate(self.buffer.as_slice())? else { break };
            let frame = self.buffer.take(layout.body.end);
            match layout.verb {
                Verb::Evt => {
                    self.frames += 1;
                    out.push(received(&frame, layout));
                }
                Verb::Hello => {
                    self.frames += 1;
                    self.take_notice(&frame, &layout);
                }
                Verb::Bye => self.got_bye = true,
                verb => tracing::debug!(verb = verb.as_str(), "ignored a client's verb that the bus sent"),
            }
        }
        Ok(())
    }

    /// Stores a notice. Ignores the `HELLO` of any other bus.
    fn take_notice(&mut self, frame: &Bytes, Layout { args, body, .. }: &Layout) {
        if frame[args.clone()] != *BUS_NAME.as_bytes() {
            return;
        }
        match serde_json::from_slice(&frame[body.clone()]) {
            Ok(notice) => (self.notice, self.notice_pending) = (Some(notice), true),
            Err(error) => tracing::debug!(%error, "ignored an invalid notice of the bus"),
        }
    }
}

fn received(frame: &Bytes, Layout { args, body, .. }: Layout) -> Received {
    let topic = Topic::new(frame.slice(args)).expect("a header is ASCII");
    Received { topic, body: frame.slice(body) }
}
