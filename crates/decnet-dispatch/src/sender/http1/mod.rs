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
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use decnet_core::limits::{KEEP_ALIVE_MARGIN, MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};

use self::body::Decoder;
pub(super) use self::head::Head;
use self::head::{Finder, Framing};
pub(super) use self::wire::Wire;
use super::meter::Meter;
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
    /// The receiver sent something after its last reply that does not belong to it.
    #[error("the receiver sent bytes that belong to no reply")]
    Stray,
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
    meter: Rc<Meter>,
    /// The request, without a body that is too large to be copied.
    out: Vec<u8>,
    /// Bytes of the request that were written.
    sent: usize,
    /// Whether the whole request was written, and nothing of it is left in a buffer.
    is_sent: bool,
    /// What the receiver sent and nobody has read.
    input: Vec<u8>,
    finder: Finder,
    /// Bytes that it sent since the request began.
    heard: usize,
    /// Whether a reply was received before the current one.
    has_served: bool,
    /// Whether the replies allow another request.
    keeps_alive: bool,
    kept_for: Option<Duration>,
}

/// How the writing of a request ended.
enum Written {
    Whole,
    /// The reply came first.
    Early(Result<Head, Error>),
    Cut(io::Error),
}

impl Connection {
    pub(super) fn new(wire: Wire) -> Self {
        Self {
            meter: wire.meter(),
            wire,
            out: Vec::new(),
            sent: 0,
            is_sent: false,
            input: Vec::new(),
            finder: Finder::default(),
            heard: 0,
            has_served: false,
            keeps_alive: true,
            kept_for: None,
        }
    }

    /// Returns whether the receiver has closed it, or sent anything since its last reply, as far as the reactor knows.
    pub(super) fn is_stale(&mut self) -> bool {
        let (mut byte, mut context) = ([0], Context::from_waker(Waker::noop()));
        Pin::new(&mut self.wire).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_ready()
    }

    /// Closes it after its last reply, with a farewell where it is encrypted (RFC 8446 section 6.1).
    pub(super) fn close(mut self) {
        // A farewell that the socket does not take at once is not waited for.
        let _ended = Pin::new(&mut self.wire).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }

    /// Returns whether it can take another request, now that the reply has been read.
    pub(super) fn is_reusable(&self) -> bool {
        self.keeps_alive && self.is_sent && self.input.is_empty()
    }

    /// Returns how long it may wait for another request, if the receiver said so: a little less than that, since a
    /// request that meets the receiver's close is lost.
    pub(super) fn kept_for(&self) -> Option<Duration> {
        self.kept_for.map(|timeout| timeout - KEEP_ALIVE_MARGIN.min(timeout / 4))
    }

    /// Returns whether anything was received since the request began.
    pub(super) fn has_heard(&self) -> bool {
        self.heard > 0
    }

    /// Returns whether the whole request was written.
    pub(super) fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Sends a request, its head written by `head`, and reads the head of its reply, which may come before the request
    /// was sent. Interim replies are skipped.
    ///
    /// # Errors
    /// There was no reply.
    pub(super) async fn exchange(
        &mut self,
        head: impl FnOnce(&mut Vec<u8>),
        body: &[u8],
    ) -> Result<Head, Error> {
        let rest = self.begin(head, body);
        let head = match poll_fn(|context| self.poll_write_or_reply(context, rest)).await {
            Written::Whole => self.read_head().await?,
            Written::Early(head) => head?,
            Written::Cut(_) if self.sent == 0 => return Err(Error::Unsent),
            // A receiver may answer what it does not read to its end.
            Written::Cut(error) => match self.read_head().await {
                Err(Error::Closed | Error::Lost(_)) => return Err(Error::Lost(error)),
                head => head?,
            },
        };
        (self.has_served, self.keeps_alive, self.kept_for) = (true, head.keeps_alive, head.kept_for);
        Ok(head)
    }

    /// Sends what is left of the request after an early reply. The reply is read meanwhile, within bounds: a receiver
    /// may wait for that before it reads on.
    ///
    /// # Errors
    /// The connection was lost before.
    pub(super) async fn send_rest(&mut self, body: &[u8]) -> io::Result<()> {
        let rest = not_copied(body);
        poll_fn(|context| self.poll_write_and_read(context, rest)).await
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
            if head.framing == Framing::Unknown {
                return End::Unframed;
            }
            match self.read(BODY_ROOM).await {
                Ok(0) if decoder.may_end_here() => return End::Whole,
                Err(_) if self.meter.is_exhausted() => return End::TooLong,
                Ok(0) | Err(_) => return End::Broken,
                Ok(_) => {}
            }
        }
    }

    /// Prepares the request; returns the part of the body that is written from where it is.
    fn begin<'b>(&mut self, head: impl FnOnce(&mut Vec<u8>), body: &'b [u8]) -> &'b [u8] {
        self.meter.allow_reply();
        (self.sent, self.is_sent, self.heard, self.finder) = (0, false, 0, Finder::default());
        self.out.clear();
        head(&mut self.out);
        let rest = not_copied(body);
        if rest.is_empty() {
            self.out.extend_from_slice(body);
        }
        rest
    }

    fn poll_write_or_reply(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<Written> {
        match self.poll_write(context, rest) {
            Poll::Ready(Ok(())) => return Poll::Ready(Written::Whole),
            Poll::Ready(Err(error)) => return Poll::Ready(Written::Cut(error)),
            Poll::Pending => {}
        }
        loop {
            match ready!(self.poll_read(context)) {
                Ok(0) => return Poll::Ready(Written::Cut(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Poll::Ready(Written::Cut(error)),
                Ok(_) => {}
            }
            if let Some(head) = self.find_head().transpose() {
                return Poll::Ready(Written::Early(head));
            }
        }
    }

    fn poll_write_and_read(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<io::Result<()>> {
        if self.poll_write(context, rest)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        while self.input.len() <= MAX_REPLY_BYTES {
            // A receiver that has sent everything may still read.
            if ready!(self.poll_read(context))? == 0 {
                break;
            }
        }
        Poll::Pending
    }

    /// Ready when all of the request is written.
    fn poll_write(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() + rest.len() {
            let piece = self.out.get(self.sent..).filter(|piece| !piece.is_empty());
            let piece = piece.unwrap_or_else(|| &rest[self.sent - self.out.len()..]);
            match ready!(Pin::new(&mut self.wire).poll_write(context, piece))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        ready!(Pin::new(&mut self.wire).poll_flush(context))?;
        self.is_sent = true;
        Poll::Ready(Ok(()))
    }

    /// Takes in what is there; ready with 0 at the end. No room is made where nothing comes.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = [0; HEAD_ROOM];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.wire).poll_read(context, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        self.heard += buffer.filled().len();
        Poll::Ready(Ok(buffer.filled().len()))
    }

    async fn read_head(&mut self) -> Result<Head, Error> {
        loop {
            if let Some(head) = self.find_head()? {
                return Ok(head);
            }
            match self.read(HEAD_ROOM).await {
                Ok(0) => return Err(Error::Closed),
                Err(_) if self.meter.is_exhausted() => return Err(Error::TooLarge),
                Err(error) => return Err(Error::Lost(error)),
                Ok(_) => {}
            }
        }
    }

    /// Takes the reply's head off the input, once it is complete.
    fn find_head(&mut self) -> Result<Option<Head>, Error> {
        match self.finder.find(&mut self.input) {
            Ok(Some((head, length))) => {
                self.input.drain(..length);
                Ok(Some(head))
            }
            _ if self.input.starts_with(&TLS_ALERT) => Err(Error::Encrypted),
            Ok(None) if self.heard > MAX_REPLY_HEADER_BYTES => Err(Error::TooLarge),
            Ok(None) => Ok(None),
            Err(_) if self.begins_with_leftovers() => Err(Error::Stray),
            Err(malformed) => Err(malformed.into()),
        }
    }

    /// Returns whether what was received does not even begin like a reply, on a connection that has served before: then
    /// it is more of the last reply than that announced.
    fn begins_with_leftovers(&self) -> bool {
        self.has_served && self.heard == self.input.len() && !self.input.starts_with(b"HTTP/")
    }

    async fn read(&mut self, room: usize) -> io::Result<usize> {
        self.input.reserve(room);
        let read = self.wire.read_buf(&mut self.input).await?;
        self.heard += read;
        Ok(read)
    }
}

/// What of a body is not copied into one piece with its head.
fn not_copied(body: &[u8]) -> &[u8] {
    if body.len() <= COPIED_BODY { &[] } else { body }
}
