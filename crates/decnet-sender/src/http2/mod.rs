//! An HTTP/2 client (RFC 9113) on one connection that all requests to an origin share, based on the `h2` crate, with limits
//! on the bytes that a receiver sends.
//!
//! A task drives the connection. Each exchange passes its request to that task as the receiver's flow-control windows allow,
//! and reads its reply.

mod upload;

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use decnet_core::limits::{HTTP2_CONNECTION_WINDOW, MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use h2::client::{Builder, SendRequest};
use h2::{Reason, RecvStream};
use http::Request;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use tokio_rustls::client::TlsStream;

use self::upload::{Piece, Upload, UploadStopped};
use crate::meter::{Allowance, Meter};
use crate::no_reply::ExchangeError;
use crate::response::{BodyEnd, RateLimit, ReplyHead, ReplyHeaders, ReplyPrefix};
use crate::sockets::Socket;
use crate::texts;

/// The number of streams opened before the receiver's SETTINGS announce its limit: further streams could be refused (RFC 9113
/// section 5.1.2).
const INITIAL_STREAMS: usize = 1;

/// A handle to a connection. Clones share the connection, which closes when all handles and replies are dropped.
#[derive(Clone)]
pub(crate) struct Connection {
    requests: SendRequest<Piece>,
    meter: Rc<Meter>,
}

/// One exchange on a connection.
pub(crate) struct Exchange {
    connection: Connection,
    /// Boxed because it would make every attempt larger.
    reply: Option<Box<Reply>>,
    /// Whether the headers of the reply are wanted.
    keeps_head: bool,
}

/// A reply whose body has not been read.
struct Reply {
    headers: HeaderMap,
    body: RecvStream,
    upload: Upload,
    allowance: Allowance,
}

impl Connection {
    /// Sends the connection preface and starts driving the connection on the current [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// The connection was lost.
    pub(crate) async fn start(stream: TlsStream<Socket>) -> Result<Self, h2::Error> {
        let meter = stream.get_ref().0.meter();
        let window = u32::try_from(MAX_REPLY_BYTES).expect("the limit of a reply fits a window");
        let header_bytes =
            u32::try_from(MAX_REPLY_HEADER_BYTES).expect("the limit of headers fits a setting");
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(INITIAL_STREAMS)
            // A window is never enlarged, so no stream carries more bytes.
            .initial_window_size(window)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(header_bytes)
            .handshake::<_, Piece>(stream)
            .await?;
        tokio::task::spawn_local(async move {
            // Each exchange reports the error as its own error.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "HTTP/2 connection ended");
            }
        });
        Ok(Self { requests, meter })
    }

    /// Returns whether no further request can be sent: the connection is closed, or the receiver announced its end.
    pub(crate) fn is_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.requests.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Returns whether the connection was closed because the receiver sent too much.
    pub(crate) fn is_flooded(&self) -> bool {
        self.meter.is_exhausted()
    }
}

impl Exchange {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, reply: None, keeps_head: false }
    }

    /// Returns the connection that is used.
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Sends a request and waits for the head of its reply. Interim replies are skipped.
    ///
    /// # Errors
    /// The exchange ended without a reply.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<()>,
        body: &Bytes,
    ) -> Result<ReplyHead, ExchangeError> {
        let Connection { requests, meter } = &self.connection;
        let allowance = meter.allow_exchange(body.len());
        let sent = requests.clone().send_request(request, body.is_empty());
        let (response, stream) = sent.map_err(|_| match self.connection.is_closed() {
            true => ExchangeError::Unsent,
            false => ExchangeError::Internal,
        })?;
        let (mut upload, mut response) = (Upload::new(stream, body.clone()), pin!(response));
        let reply = poll_fn(|context| {
            // If the upload stops, the response is ready or contains the error.
            let _ready_or_stopped = upload.poll_queue(context);
            response.as_mut().poll(context)
        });
        let (head, body) = reply.await.map_err(|error| classify(&error, meter))?.into_parts();
        let header =
            |name: HeaderName| -> Option<Box<str>> { Some(head.headers.get(name)?.to_str().ok()?.into()) };
        let rate_limit = || RateLimit {
            is_exhausted: header(HeaderName::from_static(RateLimit::REMAINING))
                .is_some_and(|left| left.trim() == "0"),
            reset_after: header(HeaderName::from_static(RateLimit::RESET_AFTER)),
        };
        let reply = ReplyHead {
            status: head.status.as_u16(),
            retry_after: header(RETRY_AFTER).or_else(|| rate_limit().wait()),
            location: head.status.is_redirection().then(|| header(LOCATION)).flatten(),
        };
        self.reply = Some(Box::new(Reply { headers: head.headers, body, upload, allowance }));
        Ok(reply)
    }

    /// Sets whether the headers of the next reply are kept.
    pub(crate) fn keep_head(&mut self, is_kept: bool) {
        self.keeps_head = is_kept;
    }

    /// Returns the headers of the reply; empty if they were not kept.
    pub(crate) fn reply_headers(&self) -> ReplyHeaders {
        let headers = self.reply.iter().filter(|_| self.keeps_head).flat_map(|reply| &reply.headers);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    /// Returns whether there is a reply and the whole request was written.
    pub(crate) fn is_sent(&self) -> bool {
        self.reply.as_ref().is_some_and(|reply| reply.upload.is_sent())
    }

    /// Sends the rest of the request after an early reply.
    ///
    /// # Errors
    /// The stream or the connection ended first, for example by a reset with `NO_ERROR` (RFC 9113 section 8.1).
    pub(crate) async fn send_rest(&mut self) -> Result<(), UploadStopped> {
        let reply = self.reply.as_mut().ok_or(UploadStopped)?;
        poll_fn(|context| reply.upload.poll_sent(context)).await
    }

    /// Reads the body to its end or to [`MAX_REPLY_BYTES`], and adds its beginning to `prefix`.
    pub(crate) async fn read_body(&mut self, prefix: &mut ReplyPrefix) -> BodyEnd {
        let Some(Reply { body, allowance, .. }) = self.reply.as_deref_mut() else { return BodyEnd::Lost };
        let mut read = 0;
        while let Some(data) = body.data().await {
            let Ok(data) = data else { return BodyEnd::Lost };
            read += data.len();
            allowance.add_body_bytes(data.len());
            prefix.add(&data);
            if read >= MAX_REPLY_BYTES && !body.is_end_stream() {
                return BodyEnd::TooLong;
            }
        }
        BodyEnd::Complete
    }
}

/// Returns the reason for a missing reply.
fn classify(error: &h2::Error, meter: &Meter) -> ExchangeError {
    use ExchangeError::{Closed, Flooded, Internal, Lost, Violation};
    match error.reason() {
        _ if meter.is_exhausted() => Flooded,
        Some(reason) if error.is_remote() => classify_remote(reason, error),
        Some(Reason::ENHANCE_YOUR_CALM) if !texts::is_about_headers(&error.to_string()) => Flooded,
        Some(_) if error.is_library() => Violation(texts::http2(error)),
        _ if error.get_io().is_some_and(is_closed) => Closed,
        _ if error.is_io() => Lost { cause: texts::http2(error), is_tls: texts::is_alert(error) },
        _ => Internal,
    }
}

/// Classifies a reset or a GOAWAY from the receiver. The h2 crate reports a GOAWAY only to streams that the receiver has not
/// processed.
fn classify_remote(reason: Reason, error: &h2::Error) -> ExchangeError {
    match reason {
        Reason::HTTP_1_1_REQUIRED => ExchangeError::Http1Required,
        Reason::REFUSED_STREAM => ExchangeError::Unprocessed(reason),
        _ if error.is_go_away() => ExchangeError::Unprocessed(reason),
        _ => ExchangeError::Reset(texts::http2(error)),
    }
}

fn is_closed(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof)
}
