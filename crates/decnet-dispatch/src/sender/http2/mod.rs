//! HTTP/2 (RFC 9113) on one connection that all requests to an origin share: h2's, with bounds on what a receiver sends.
//!
//! A connection is driven by a task of its own. Each exchange hands its request over as the receiver's windows allow,
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

pub(super) use self::error::Error;
use self::upload::{Piece, Upload};
use super::meter::{Allowance, Meter};
use super::response::{End, Kept};
use super::sockets::Socket;

/// Streams opened before the receiver's SETTINGS say how many it takes: more could be refused (RFC 9113 section 5.1.2).
const FIRST_STREAMS: usize = 1;

/// A handle to a connection; clones share it. The connection closes when all of them, and all replies, are dropped.
#[derive(Clone)]
pub(super) struct Connection {
    requests: SendRequest<Piece>,
    meter: Rc<Meter>,
}

/// A reply whose body has not been read.
pub(super) struct Reply {
    head: Response<RecvStream>,
    upload: Upload,
    allowance: Allowance,
}

impl Connection {
    /// Sends the connection preface and starts to drive the connection on the current [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// The connection was lost.
    pub(super) async fn start(stream: TlsStream<Socket>) -> Result<Self, h2::Error> {
        let meter = stream.get_ref().0.meter();
        let window = u32::try_from(MAX_REPLY_BYTES).expect("a reply's bound fits a window");
        let header_bytes = u32::try_from(MAX_REPLY_HEADER_BYTES).expect("a header's bound fits a setting");
        let (requests, connection) = Builder::new()
            .enable_push(false)
            .initial_max_send_streams(FIRST_STREAMS)
            // A window is never enlarged, so no stream brings more than it.
            .initial_window_size(window)
            .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
            .max_header_list_size(header_bytes)
            .handshake::<_, Piece>(stream)
            .await?;
        tokio::task::spawn_local(async move {
            // Each exchange is told what ended it.
            if let Err(error) = connection.await {
                tracing::trace!(%error, "HTTP/2 connection ended");
            }
        });
        Ok(Self { requests, meter })
    }

    /// Returns whether no further request can be sent: it was closed, or its receiver said that it will close it.
    pub(super) fn is_closed(&self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        matches!(self.requests.clone().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Returns whether it was closed because the receiver sent too much.
    pub(super) fn is_flooded(&self) -> bool {
        self.meter.is_exhausted()
    }

    /// Sends a request and waits for the head of its reply. Interim replies are skipped.
    ///
    /// # Errors
    /// There was no reply.
    pub(super) async fn exchange(&self, request: Request<()>, body: &Bytes) -> Result<Reply, Error> {
        let allowance = self.meter.allow_exchange(body.len());
        let sent = self.requests.clone().send_request(request, body.is_empty());
        let (response, stream) = sent.map_err(|error| match self.is_closed() {
            true => Error::Unsent,
            false => Error::Internal(error),
        })?;
        let (mut upload, mut response) = (Upload::new(stream, body.clone()), pin!(response));
        let reply = poll_fn(|context| {
            // What stops it is found in the reply: an answer, or the error.
            let _ready_or_stopped = upload.poll_hand_over(context);
            response.as_mut().poll(context)
        });
        let head = reply.await.map_err(|error| Error::new(error, &self.meter))?;
        Ok(Reply { head, upload, allowance })
    }
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.head.status().as_u16()
    }

    pub(super) fn retry_after(&self) -> Option<&str> {
        self.header(RETRY_AFTER)
    }

    /// Where a redirect leads, as it is written.
    pub(super) fn location(&self) -> Option<&str> {
        self.head.status().is_redirection().then(|| self.header(LOCATION)).flatten()
    }

    fn header(&self, name: HeaderName) -> Option<&str> {
        self.head.headers().get(name).and_then(|value| value.to_str().ok())
    }

    /// Returns whether the whole request was written.
    pub(super) fn is_sent(&self) -> bool {
        self.upload.is_sent()
    }

    /// Sends what is left of the request after an early reply.
    ///
    /// # Errors
    /// The stream or the connection ended before, as after a reset with `NO_ERROR` (RFC 9113 section 8.1).
    pub(super) async fn send_rest(&mut self) -> Result<(), upload::Stopped> {
        poll_fn(|context| self.upload.poll_sent(context)).await
    }

    /// Reads the body to its end or to [`MAX_REPLY_BYTES`]; `kept` gets its beginning as it comes.
    pub(super) async fn read_body(&mut self, kept: &mut Kept) -> End {
        let (mut read, body) = (0, self.head.body_mut());
        while let Some(data) = body.data().await {
            let Ok(data) = data else { return End::Broken };
            read += data.len();
            self.allowance.add_body_bytes(data.len());
            kept.add(&data);
            if read >= MAX_REPLY_BYTES && !body.is_end_stream() {
                return End::TooLong;
            }
        }
        End::Whole
    }
}
