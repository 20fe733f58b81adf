//! HTTP/1.1 (RFC 9112) as a dispatcher needs it: one request at a time, written at once, its reply read as it comes.
//!
//! Nearly every delivery goes through here. There is no task and no channel between the attempt and its socket, so
//! that a request costs one write and its reply one read.

mod body;
mod head;
mod wire;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use decnet_core::limits::{MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use self::body::Decoder;
pub(super) use self::head::Head;
pub(super) use self::wire::Wire;
use super::response::{End, Kept};
use super::texts;

/// Bodies up to this size go out in one piece with their head, copied; in bytes.
const COPIED_BODY: usize = 16 * 1024;
/// Room made for a read, in bytes: most replies fit.
const HEAD_ROOM: usize = 1024;
/// The same for the rest of a body that did not come with its head.
const BODY_ROOM: usize = 8 * 1024;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Provably no byte of the request has left.
    #[error("the connection was closed before the request was sent")]
    Unsent,
    #[error("the receiver closed the connection before its reply")]
    Closed,
    #[error("connection lost before the reply ({})", texts::io(.0))]
    Lost(#[source] io::Error),
    #[error("the reply's headers are too large")]
    TooLarge,
    #[error("the reply is not valid HTTP ({0})")]
    Malformed(#[from] head::Malformed),
    #[error("the port speaks TLS; use https:// in the URL")]
    Encrypted,
}

/// How a TLS record with an alert begins (RFC 8446 section 5.1): what a TLS server answers to a request in clear text.
const TLS_ALERT: [u8; 2] = [21, 3];

/// A connection to a receiver. One whose exchange did not come to its end must be dropped.
pub(super) struct Connection {
    wire: Wire,
    /// The request, without a body that is too large to be copied.
    out: Vec<u8>,
    /// What the receiver sent and nobody has read.
    input: Vec<u8>,
    /// Bytes that it sent since the request began.
    heard: usize,
    /// Can another request follow the one that is under way?
    reusable: bool,
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, out: Vec::new(), input: Vec::new(), heard: 0, reusable: true }
    }

    /// Has the receiver closed it, or said something unasked, since its last reply? As far as the reactor has told.
    pub(super) fn is_stale(&mut self) -> bool {
        let (mut byte, mut context) = ([0], Context::from_waker(Waker::noop()));
        Pin::new(&mut self.wire).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_ready()
    }

    /// Closes it after its last reply, with a farewell where it is encrypted (RFC 8446 section 6.1).
    pub(super) fn close(mut self) {
        // A farewell that the socket does not take at once is not waited for.
        let _ended = Pin::new(&mut self.wire).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }

    /// Can it take another request, now that the reply has been read?
    pub(super) fn is_reusable(&self) -> bool {
        self.reusable && self.input.is_empty()
    }

    /// Sends a request, its head written by `head`, and reads the head of its reply; interim ones are passed over.
    pub(super) async fn exchange(
        &mut self,
        head: impl FnOnce(&mut Vec<u8>),
        body: &[u8],
    ) -> Result<Head, Error> {
        self.out.clear();
        self.heard = 0;
        head(&mut self.out);
        let rest = if body.len() <= COPIED_BODY {
            self.out.extend_from_slice(body);
            &[]
        } else {
            body
        };
        let broken = self.write(rest).await?;
        let head = match (self.read_head().await, broken) {
            (Err(Error::Closed | Error::Lost(_)), Some(error)) => return Err(Error::Lost(error)),
            (head, _) => head?,
        };
        self.reusable &= head.keeps_alive;
        Ok(head)
    }

    /// Writes the request, and returns what cut it short, if anything did: then a reply may be there all the same,
    /// since a receiver may refuse what it has not read to its end.
    async fn write(&mut self, rest: &[u8]) -> Result<Option<io::Error>, Error> {
        let mut sent = 0;
        let end = poll_fn(|context| self.poll_write(context, rest, &mut sent)).await;
        self.reusable &= matches!(end, Ok(true));
        match end {
            Err(_) if sent == 0 => Err(Error::Unsent),
            Err(error) => Ok(Some(error)),
            Ok(_) => Ok(None),
        }
    }

    /// Ready with true when all of it is sent, with false when the reply was there before.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        rest: &[u8],
        sent: &mut usize,
    ) -> Poll<io::Result<bool>> {
        while *sent < self.out.len() + rest.len() {
            let piece = self.out.get(*sent..).filter(|piece| !piece.is_empty());
            let piece = piece.unwrap_or_else(|| &rest[*sent - self.out.len()..]);
            match Pin::new(&mut self.wire).poll_write(context, piece)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(written) => *sent += written,
                Poll::Pending => return self.poll_early_reply(context).map_ok(|()| false),
            }
        }
        Pin::new(&mut self.wire).poll_flush(context).map_ok(|()| true)
    }

    /// Ready when the reply's head is there though the request is not yet sent.
    fn poll_early_reply(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut buffer = [0; HEAD_ROOM];
        loop {
            let mut buffer = ReadBuf::new(&mut buffer);
            ready!(Pin::new(&mut self.wire).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.input.extend_from_slice(buffer.filled());
            self.heard += buffer.filled().len();
            // What is wrong with it is found when it is read.
            if self.heard > MAX_REPLY_HEADER_BYTES || !matches!(head::find(&mut self.input), Ok(None)) {
                return Poll::Ready(Ok(()));
            }
        }
    }

    async fn read_head(&mut self) -> Result<Head, Error> {
        let mut fresh = 0;
        loop {
            // Only a line's end can complete it: a receiver that sends byte by byte is not parsed as often.
            if self.input[fresh..].contains(&b'\n')
                && let Some((head, length)) = head::find(&mut self.input)?
            {
                self.input.drain(..length);
                return Ok(head);
            }
            fresh = self.input.len();
            if self.heard > MAX_REPLY_HEADER_BYTES {
                return Err(Error::TooLarge);
            }
            if self.read(HEAD_ROOM).await.map_err(Error::Lost)? == 0 {
                return Err(Error::Closed);
            }
            if self.input.starts_with(&TLS_ALERT) {
                return Err(Error::Encrypted);
            }
        }
    }

    /// Reads the body of the reply to its end or to [`MAX_REPLY_BYTES`]; `kept` gets its beginning as it comes.
    pub(super) async fn read_body(&mut self, head: &Head, kept: &mut Kept) -> End {
        let (mut decoder, mut read) = (Decoder::new(head.framing), 0);
        loop {
            let decoded = decoder.decode(&self.input, |data| {
                read += data.len();
                kept.add(data);
            });
            let Ok((length, done)) = decoded else { return End::Broken };
            self.input.drain(..length);
            if read > MAX_REPLY_BYTES {
                return End::TooLong;
            }
            if done {
                self.input.shrink_to(BODY_ROOM);
                return End::Whole;
            }
            match self.read(BODY_ROOM).await {
                Ok(0) if decoder.may_end_here() => return End::Whole,
                Ok(0) | Err(_) => return End::Broken,
                Ok(_) => {}
            }
        }
    }

    async fn read(&mut self, room: usize) -> io::Result<usize> {
        self.input.reserve(room);
        let read = self.wire.read_buf(&mut self.input).await?;
        self.heard += read;
        Ok(read)
    }
}
