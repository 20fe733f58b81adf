//! The half of a connection that receives.

use std::io::ErrorKind;

use bytes::Bytes;
use tokio::net::unix::OwnedReadHalf;

use super::Error;
use crate::notice::{BUS_NAME, Notice};
use crate::received::{Received, Topic};
use crate::unix::codec::{FrameError, Layout, Verb, locate};
use crate::unix::read_buffer::ReadBuffer;

/// Receives events. Drain it at once, always: a bus drops the oldest event of a slow reader.
#[derive(Debug)]
pub struct Receiver {
    socket: OwnedReadHalf,
    buffer: ReadBuffer,
    said_bye: bool,
    /// Events and notices so far.
    frames: u64,
    notice: Option<Notice>,
    /// A notice has come that no call has returned for.
    has_news: bool,
}

impl Receiver {
    pub(super) fn new(socket: OwnedReadHalf) -> Self {
        let buffer = ReadBuffer::new();
        Self { socket, buffer, said_bye: false, frames: 0, notice: None, has_news: false }
    }

    /// Waits for events and appends all that one read brings: at least one, or none where a [notice](Self::notice) came.
    /// Loses nothing when it is cancelled, and hands on every event before it reports the end of the connection.
    ///
    /// # Errors
    /// [`Error::Closed`] at the end, [`Error::Io`] or [`Error::Frame`] when the connection is of no use any
    /// more; then for every further call too.
    pub async fn recv_batch(&mut self, out: &mut Vec<Received>) -> Result<(), Error> {
        let before = out.len();
        loop {
            let decoded = self.decode_all(out);
            if out.len() > before || std::mem::take(&mut self.has_news) {
                return Ok(());
            }
            decoded?;
            if self.said_bye || self.is_at_end().await? {
                return Err(Error::Closed);
            }
        }
    }

    /// Reads and drops everything up to the end of the stream.
    ///
    /// # Errors
    /// [`Error::Unread`] if the bus has closed the connection with frames of ours unread (`unix(7)`: `ECONNRESET`),
    /// [`Error::Io`] for what else the system reports.
    pub(super) async fn until_end(mut self) -> Result<(), Error> {
        loop {
            match self.buffer.fill(&mut self.socket).await {
                Ok(0) => return Ok(()),
                Ok(_) => self.buffer.skip(self.buffer.as_slice().len()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Err(Error::Unread),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The last notice that the bus sent; `None` if it has sent none, as DECNET's never does, and ours only to a client
    /// that [asked for it](super::Client::connect_with_notices).
    #[must_use]
    pub fn notice(&self) -> Option<&Notice> {
        self.notice.as_ref()
    }

    /// How many events and notices have come since the connection began.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Reads once. A bus that closes with frames of ours unread resets the connection: an end like any other.
    async fn is_at_end(&mut self) -> Result<bool, Error> {
        match self.buffer.fill(&mut self.socket).await {
            Ok(read) => Ok(read == 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes all whole frames out of the buffer; a bad one stays, to fail again.
    fn decode_all(&mut self, out: &mut Vec<Received>) -> Result<(), FrameError> {
        while !self.said_bye {
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
                Verb::Bye => self.said_bye = true,
                verb => tracing::debug!(verb = verb.as_str(), "a client's frame from the bus is ignored"),
            }
        }
        Ok(())
    }
}

impl Receiver {
    /// A greeting that is not a notice is one of a bus that we do not know, and is ignored.
    fn take_notice(&mut self, frame: &Bytes, Layout { args, body, .. }: &Layout) {
        if frame[args.clone()] != *BUS_NAME.as_bytes() {
            return;
        }
        match serde_json::from_slice(&frame[body.clone()]) {
            Ok(notice) => (self.notice, self.has_news) = (Some(notice), true),
            Err(error) => tracing::debug!(%error, "a notice of the bus that cannot be read is ignored"),
        }
    }
}

fn received(frame: &Bytes, Layout { args, body, .. }: Layout) -> Received {
    let topic = Topic::new(frame.slice(args)).expect("a header is ASCII");
    Received { topic, body: frame.slice(body) }
}
