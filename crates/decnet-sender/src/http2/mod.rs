//! An HTTP/2 client (RFC 9113) on one connection that all requests to an origin share, based on the `h2` crate, with limits
//! on the bytes that a receiver sends.
//!
//! A task drives the connection. Each exchange passes its request to that task as the receiver's flow-control windows allow,
//! and reads its reply.

mod error;
mod upload;

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use decnet_core::limits::{HTTP2_CONNECTION_WINDOW, MAX_REPLY_BYTES, MAX_REPLY_HEADER_BYTES};
use h2::RecvStream;
use h2::client::{Builder, SendRequest};
use http::header::{HeaderName, LOCATION, RETRY_AFTER};
use http::{Request, Response};
use tokio_rustls::client::TlsStream;

pub(crate) use self::error::Error;
use self::upload::{Piece, Upload};
use crate::meter::{Allowance, Meter};
use crate::response::{BodyEnd, ReplyPrefix};
use crate::sockets::Socket;

/// The number of streams opened before the receiver's SETTINGS announce its limit: further streams could be refused (RFC 9113
/// section 5.1.2).
const INITIAL_STREAMS: usize = 1;

/// A handle to a connection. Clones share the connection, which closes when all handles and replies are dropped.
#[derive(Clone)]
pub(crate) struct Connection {
    requests: SendRequest<Piece>,
    meter: Rc<Meter>,
}

/// A reply whose body has not been read.
pub(crate) struct Reply {
    head: Response<RecvStream>,
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

    /// Sends a request and waits for the head of its reply. Interim replies are skipped.
    ///
    /// # Errors
    /// The exchange ended without a reply.
    pub(crate) async fn exchange(&self, request: Request<()>, body: &Bytes) -> Result<Reply, Error> {
        let allowance = self.meter.allow_exchange(body.len());
        let sent = self.requests.clone().send_request(request, body.is_empty());
        let (response, stream) = sent.map_err(|error| match self.is_closed() {
            true => Error::Unsent,
            false => Error::Internal(error),
        })?;
        let (mut upload, mut response) = (Upload::new(stream, body.clone()), pin!(response));
        let reply = poll_fn(|context| {
            // If the upload stops, the response is ready or contains the error.
            let _ready_or_stopped = upload.poll_queue(context);
            response.as_mut().poll(context)
        });
        let head = reply.await.map_err(|error| Error::new(error, &self.meter))?;
        Ok(Reply { head, upload, allowance })
    }
}

impl Reply {
    pub(crate) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(crate) fn retry_after(&self) -> Option<&str> {
        self.header(RETRY_AFTER)
    }

    /// Returns the target of a redirect, as received.
    pub(crate) fn location(&self) -> Option<&str> {
        self.head.status().is_redirection().then(|| self.header(LOCATION)).flatten()
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.head.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the whole request was written.
    pub(crate) fn is_sent(&self) -> bool {
        self.upload.is_sent()
    }

    /// Sends the rest of the request after an early reply.
    ///
    /// # Errors
    /// The stream or the connection ended first, for example by a reset with `NO_ERROR` (RFC 9113 section 8.1).
    pub(crate) async fn send_rest(&mut self) -> Result<(), upload::UploadStopped> {
        poll_fn(|context| self.upload.poll_sent(context)).await
    }

    /// Reads the body to its end or to [`MAX_REPLY_BYTES`], and adds its beginning to `prefix`.
    pub(crate) async fn read_body(&mut self, prefix: &mut ReplyPrefix) -> BodyEnd {
        let (mut read, body) = (0, self.head.body_mut());
        while let Some(data) = body.data().await {
            let Ok(data) = data else { return BodyEnd::Lost };
            read += data.len();
            self.allowance.add_body_bytes(data.len());
            prefix.add(&data);
            if read >= MAX_REPLY_BYTES && !body.is_end_stream() {
                return BodyEnd::TooLong;
            }
        }
        BodyEnd::Complete
    }
}
