//! An HTTP/1.1 client (RFC 9112) for one request at a time per connection.
//!
//! Nearly every delivery is sent with this client. There is no task and no channel between the attempt and its socket, so that a
//! request costs one write and its reply one read.

mod body;
mod head;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use decnet_core::limits::{KEEP_ALIVE_MARGIN, MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWrite as _, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use self::body::Framing;
pub(crate) use self::head::MalformedHead;
use self::head::{Head, HeadParser};
use crate::meter::Meter;
use crate::no_reply::ExchangeError;
use crate::response::{BodyEnd, ReplyHead, ReplyHeaders, ReplyPrefix};
use crate::sockets::Socket;

/// The maximum size of a body that is copied behind its head and sent in one write, in bytes.
const MAX_COPIED_BODY: usize = 16 * 1024;
/// The size of a read of a reply's head, in bytes. Most replies fit.
const HEAD_READ_SIZE: usize = 1024;
/// The size of a read of the rest of a body, in bytes.
const BODY_READ_SIZE: usize = 8 * 1024;

/// The beginning of a TLS record with an alert (RFC 8446 section 5.1), which a TLS server sends in reply to clear text.
const TLS_ALERT: [u8; 2] = [21, 3];

/// A socket without or with TLS.
pub(crate) type MaybeTlsStream = Either<Socket, Box<TlsStream<Socket>>>;

/// A connection to a receiver. It must be dropped if an exchange did not complete.
pub(crate) struct Connection {
    stream: MaybeTlsStream,
    meter: Rc<Meter>,
    /// The request, without a body that is too large to be copied.
    out: Vec<u8>,
    /// The number of bytes of the request that were written.
    sent: usize,
    /// Whether the whole request was written and flushed.
    is_sent: bool,
    /// Bytes that were received and not consumed.
    input: Vec<u8>,
    parser: HeadParser,
    /// The number of bytes received since the start of the request.
    received: usize,
    /// Whether a reply was received before the current one.
    has_served: bool,
    /// Whether the replies allow another request.
    keeps_alive: bool,
    keep_alive_timeout: Option<Duration>,
    /// The framing of the body of the current reply.
    framing: Framing,
    /// The head of the current reply, if heads are kept. Boxed, because its place would enlarge every attempt.
    #[expect(clippy::box_collection, reason = "few connections keep a head")]
    kept_head: Option<Box<Vec<u8>>>,
}

/// The outcome of writing a request.
enum WriteEnd {
    Complete,
    /// The reply arrived first.
    Early(Result<Head, ExchangeError>),
    Failed(io::Error),
}

impl Connection {
    pub(crate) fn new(stream: MaybeTlsStream) -> Self {
        let socket = match &stream {
            Either::Left(socket) => socket,
            Either::Right(stream) => stream.get_ref().0,
        };
        Self {
            meter: socket.meter(),
            stream,
            out: Vec::new(),
            sent: 0,
            is_sent: false,
            input: Vec::new(),
            parser: HeadParser::default(),
            received: 0,
            has_served: false,
            keeps_alive: true,
            keep_alive_timeout: None,
            framing: Framing::Close,
            kept_head: None,
        }
    }

    /// Sets whether the head of the next reply is kept.
    pub(crate) fn keep_head(&mut self, is_kept: bool) {
        self.kept_head = is_kept.then(Box::default);
    }

    /// Returns the headers of the reply; empty if its head was not kept.
    pub(crate) fn reply_headers(&self) -> ReplyHeaders {
        self.kept_head.as_ref().map_or_else(ReplyHeaders::new, |head| head::headers(head))
    }

    /// Returns whether the receiver has closed the connection or sent anything since its last reply, as far as the reactor
    /// knows.
    pub(crate) fn is_stale(&mut self) -> bool {
        let (mut byte, mut context) = ([0], Context::from_waker(Waker::noop()));
        Pin::new(&mut self.stream).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_ready()
    }

    /// Closes an idle connection, with a `close_notify` alert if it is encrypted (RFC 8446 section 6.1).
    pub(crate) fn close(mut self) {
        // If the socket does not accept the alert at once, the alert is dropped.
        let _ended = Pin::new(&mut self.stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
    }

    /// Returns whether the connection can take another request, now that the reply has been read.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keeps_alive && self.is_sent && self.input.is_empty()
    }

    /// Returns the time for which the connection may be idle, if the receiver announced such a time. The result is slightly less
    /// than announced, since a request is lost if the receiver closes the connection at the same time.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        self.keep_alive_timeout.map(|timeout| timeout - KEEP_ALIVE_MARGIN.min(timeout / 4))
    }

    /// Returns whether anything was received since the start of the request.
    pub(crate) fn has_received(&self) -> bool {
        self.received > 0
    }

    /// Returns whether the whole request was written.
    pub(crate) fn is_sent(&self) -> bool {
        self.is_sent
    }

    /// Sends a request, its head written by `head`, and reads the head of its reply, which may arrive before the request
    /// is sent completely. Interim replies are skipped.
    ///
    /// # Errors
    /// The exchange ended without a reply.
    pub(crate) async fn exchange(
        &mut self,
        head: impl FnOnce(&mut Vec<u8>),
        body: &[u8],
    ) -> Result<ReplyHead, ExchangeError> {
        let rest = self.prepare(head, body);
        let head = match poll_fn(|context| self.poll_write_or_reply(context, rest)).await {
            WriteEnd::Complete => self.read_head().await?,
            WriteEnd::Early(head) => head?,
            WriteEnd::Failed(_) if self.sent == 0 => return Err(ExchangeError::Unsent),
            // A receiver may reply to a request that it does not read to its end.
            WriteEnd::Failed(error) => match self.read_head().await {
                Err(ExchangeError::Closed | ExchangeError::Lost { .. }) => {
                    return Err(ExchangeError::lost(&error));
                }
                head => head?,
            },
        };
        self.has_served = true;
        (self.keeps_alive, self.keep_alive_timeout) = (head.keeps_alive, head.keep_alive_timeout);
        self.framing = head.framing;
        Ok(head.reply)
    }

    /// Sends the rest of the request after an early reply. At the same time the reply is read, within limits: a receiver may
    /// wait until its reply has been read before it continues to read.
    ///
    /// # Errors
    /// The connection was lost.
    pub(crate) async fn send_rest(&mut self, body: &[u8]) -> io::Result<()> {
        let rest = not_copied(body);
        poll_fn(|context| self.poll_write_and_read(context, rest)).await
    }

    /// Reads the body of the reply to its end or to [`MAX_REPLY_BYTES`], and adds its beginning to `prefix`.
    pub(crate) async fn read_body(&mut self, prefix: &mut ReplyPrefix) -> BodyEnd {
        let mut read = 0;
        loop {
            let decoded = self.framing.decode(&self.input, |data| {
                read += data.len();
                prefix.add(data);
            });
            let Ok((length, done)) = decoded else { return BodyEnd::Lost };
            self.input.drain(..length);
            if read > MAX_REPLY_BYTES {
                return BodyEnd::TooLong;
            }
            if done {
                self.input.shrink_to(BODY_READ_SIZE);
                return BodyEnd::Complete;
            }
            if self.framing == Framing::Unknown {
                return BodyEnd::Unframed;
            }
            match self.read(BODY_READ_SIZE).await {
                Ok(0) if self.framing == Framing::Close => return BodyEnd::Complete,
                Err(_) if self.meter.is_exhausted() => return BodyEnd::TooLong,
                Ok(0) | Err(_) => return BodyEnd::Lost,
                Ok(_) => {}
            }
        }
    }

    /// Prepares the request. Returns the body if it is written without being copied.
    fn prepare<'b>(&mut self, head: impl FnOnce(&mut Vec<u8>), body: &'b [u8]) -> &'b [u8] {
        self.meter.allow_reply();
        (self.sent, self.is_sent, self.received, self.parser) = (0, false, 0, HeadParser::default());
        self.out.clear();
        head(&mut self.out);
        let rest = not_copied(body);
        if rest.is_empty() {
            self.out.extend_from_slice(body);
        }
        rest
    }

    fn poll_write_or_reply(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<WriteEnd> {
        match self.poll_write(context, rest) {
            Poll::Ready(Ok(())) => return Poll::Ready(WriteEnd::Complete),
            Poll::Ready(Err(error)) => return Poll::Ready(WriteEnd::Failed(error)),
            Poll::Pending => {}
        }
        loop {
            match ready!(self.poll_read(context)) {
                Ok(0) => return Poll::Ready(WriteEnd::Failed(io::ErrorKind::UnexpectedEof.into())),
                Err(error) => return Poll::Ready(WriteEnd::Failed(error)),
                Ok(_) => {}
            }
            if let Some(head) = self.parse_head().transpose() {
                return Poll::Ready(WriteEnd::Early(head));
            }
        }
    }

    fn poll_write_and_read(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<io::Result<()>> {
        if self.poll_write(context, rest)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        while self.input.len() <= MAX_REPLY_BYTES {
            // A receiver that has sent everything may still be reading.
            if ready!(self.poll_read(context))? == 0 {
                break;
            }
        }
        Poll::Pending
    }

    /// Polls until the whole request is written and flushed.
    fn poll_write(&mut self, context: &mut Context<'_>, rest: &[u8]) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() + rest.len() {
            let piece = self.out.get(self.sent..).filter(|piece| !piece.is_empty());
            let piece = piece.unwrap_or_else(|| &rest[self.sent - self.out.len()..]);
            match ready!(Pin::new(&mut self.stream).poll_write(context, piece))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.sent += written,
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.is_sent = true;
        Poll::Ready(Ok(()))
    }

    /// Reads available bytes; ready with 0 at the end of the stream. The input buffer grows only if bytes arrive.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = [0; HEAD_READ_SIZE];
        let mut buffer = ReadBuf::new(&mut buffer);
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        self.received += buffer.filled().len();
        Poll::Ready(Ok(buffer.filled().len()))
    }

    async fn read_head(&mut self) -> Result<Head, ExchangeError> {
        loop {
            if let Some(head) = self.parse_head()? {
                return Ok(head);
            }
            match self.read(HEAD_READ_SIZE).await {
                Ok(0) => return Err(ExchangeError::Closed),
                Err(_) if self.meter.is_exhausted() => return Err(ExchangeError::TooLarge),
                Err(error) => return Err(ExchangeError::lost(&error)),
                Ok(_) => {}
            }
        }
    }

    /// Removes the reply's head from the input and returns it, once it is complete.
    fn parse_head(&mut self) -> Result<Option<Head>, ExchangeError> {
        match self.parser.parse(&mut self.input) {
            Ok(Some((head, length))) => {
                if let Some(kept) = &mut self.kept_head {
                    **kept = self.input[..length].to_vec();
                }
                self.input.drain(..length);
                Ok(Some(head))
            }
            _ if self.input.starts_with(&TLS_ALERT) => Err(ExchangeError::Encrypted),
            Ok(None) if self.received > MAX_REPLY_HEADER_BYTES => Err(ExchangeError::TooLarge),
            Ok(None) => Ok(None),
            Err(_) if self.begins_with_leftovers() => Err(ExchangeError::Unsolicited),
            Err(malformed) => Err(malformed.into()),
        }
    }

    /// Returns whether a reused connection received bytes that do not begin like a reply: they belong to the previous
    /// reply, beyond its announced length.
    fn begins_with_leftovers(&self) -> bool {
        self.has_served && self.received == self.input.len() && !self.input.starts_with(b"HTTP/")
    }

    async fn read(&mut self, capacity: usize) -> io::Result<usize> {
        self.input.reserve(capacity);
        let read = self.stream.read_buf(&mut self.input).await?;
        self.received += read;
        Ok(read)
    }
}

/// Returns the body if it is too large to be copied behind the head, and an empty slice otherwise.
fn not_copied(body: &[u8]) -> &[u8] {
    if body.len() <= MAX_COPIED_BODY { &[] } else { body }
}
