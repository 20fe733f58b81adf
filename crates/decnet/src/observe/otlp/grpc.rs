//! One unary gRPC call after another, on a connection that is made anew when it broke.
//!
//! gRPC is one POST over HTTP/2 with a length before the message
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>), which needs no library beside hyper.

use bytes::{BufMut as _, Bytes, BytesMut};
use decnet_core::limits::MAX_EXPORT_REPLY_BYTES;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// What went wrong with an export.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("the endpoint has no host")]
    NoHost,
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
    #[error("its answer: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("it answered HTTP {0}")]
    Status(StatusCode),
    #[error("it answered gRPC status {0}")]
    Grpc(String),
    #[error("it answered without a gRPC status; is it a collector that takes OTLP over gRPC?")]
    NoStatus,
    #[error("it answered with something else than the call's reply: {0}")]
    Reply(#[from] prost::DecodeError),
    #[error("it did not answer in time")]
    Late,
}

/// Where calls go.
pub(super) struct Client {
    endpoint: Uri,
    connection: Option<http2::SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(super) fn new(endpoint: Uri) -> Self {
        Self { endpoint, connection: None }
    }

    pub(super) fn endpoint(&self) -> &Uri {
        &self.endpoint
    }

    /// Calls `path`; the answer's message. What ends otherwise than well takes the connection with it, dropped in the
    /// middle as well.
    ///
    /// # Errors
    /// The call did not come to the status OK, which is 0: one that is missing is none.
    pub(super) async fn call<R: Message + Default>(
        &mut self,
        path: &str,
        message: &impl Message,
    ) -> Result<R, Error> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => connect(&self.endpoint).await?,
        };
        let uri = format!("{}{path}", self.endpoint.to_string().trim_end_matches('/'));
        let request = Request::post(uri).header(CONTENT_TYPE, "application/grpc").header(TE, "trailers");
        let reply = connection.send_request(request.body(Full::new(frame(message)))?).await?;
        if reply.status() != StatusCode::OK {
            return Err(Error::Status(reply.status()));
        }
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_EXPORT_REPLY_BYTES).collect().await.map_err(Error::Body)?;
        // A reply without a message has its trailers in its head.
        let trailers = body.trailers().unwrap_or(&head.headers);
        match trailers.get("grpc-status").and_then(|status| status.to_str().ok()) {
            Some("0") => {}
            Some(status) => return Err(Error::Grpc(status.to_owned())),
            None => return Err(Error::NoStatus),
        }
        self.connection = Some(connection);
        let reply = body.to_bytes();
        Ok(R::decode(reply.slice(PREFIX_BYTES.min(reply.len())..))?)
    }
}

async fn connect(endpoint: &Uri) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
    let host = endpoint.host().ok_or(Error::NoHost)?.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, endpoint.port_u16().unwrap_or(80))).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the collector broke");
        }
    });
    Ok(sender)
}

/// One uncompressed message (gRPC over HTTP/2: Length-Prefixed-Message).
fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}
