//! Unary gRPC calls, one at a time, on a connection that is reopened after a failure.
//!
//! A gRPC call is one POST over HTTP/2 with a length-prefixed message
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>), so hyper is sufficient.

use bytes::{BufMut as _, Bytes, BytesMut};
use decnet_core::limits::MAX_EXPORT_REPLY_BYTES;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2;
use hyper::header::{CONTENT_TYPE, TE};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;

/// The size of a message's prefix: a compression flag and the length.
const PREFIX_BYTES: usize = 5;
const NO_STATUS: &str = "response without a gRPC status; check that the endpoint accepts OTLP over gRPC";

/// The reason why an export failed, for the log.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// A client of one endpoint.
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

    /// Calls `path` and returns the response's message. The connection is kept only after a successful call; it is dropped
    /// after a failed or cancelled call.
    ///
    /// # Errors
    /// The call did not return status 0 (OK). A missing status is an error.
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
            return Err(format!("response with HTTP status {}", reply.status()).into());
        }
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_EXPORT_REPLY_BYTES).collect().await;
        let body = body.map_err(|error| format!("cannot read the response: {error}"))?;
        // A response without a message has its trailers in its head.
        let trailers = body.trailers().unwrap_or(&head.headers);
        match trailers.get("grpc-status").and_then(|status| status.to_str().ok()) {
            Some("0") => {}
            Some(status) => return Err(format!("response with gRPC status {status}").into()),
            None => return Err(NO_STATUS.into()),
        }
        self.connection = Some(connection);
        let reply = body.to_bytes();
        let message = R::decode(reply.slice(PREFIX_BYTES.min(reply.len())..));
        message.map_err(|error| format!("invalid response message: {error}").into())
    }
}

async fn connect(endpoint: &Uri) -> Result<http2::SendRequest<Full<Bytes>>, Error> {
    let host = endpoint.host().ok_or("the endpoint has no host")?.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, endpoint.port_u16().unwrap_or(80))).await?;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the collector failed");
        }
    });
    Ok(sender)
}

/// Encodes one uncompressed message (gRPC over HTTP/2: Length-Prefixed-Message).
fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.put_slice(&message.encode_to_vec());
    frame.freeze()
}
