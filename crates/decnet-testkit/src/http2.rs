//! HTTP/2 by script, as far as the library allows it: any other step resets the stream.

use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::HOST;
use http::{HeaderValue, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::record::{Record, Request};
use crate::script::{Reply, Step, reply};

const CHUNK: &[u8] = &[b'x'; 16 * 1024];

type ReplyBody = UnsyncBoxBody<Bytes, Infallible>;

/// Serves a connection until the client ends it.
pub(crate) async fn serve(
    stream: TlsStream<TcpStream>,
    number: u64,
    max_streams: u32,
    record: Arc<Record>,
) -> io::Result<()> {
    let service = service_fn(move |request| handle(request, number, Arc::clone(&record)));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(max_streams);
    builder.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

async fn handle(
    request: hyper::Request<Incoming>,
    number: u64,
    record: Arc<Record>,
) -> io::Result<Response<ReplyBody>> {
    let request = read(request, number).await?;
    match record.add(request) {
        Step::Reply(reply) => {
            tokio::time::sleep(reply.delay).await;
            respond(&reply, parts(stream::iter(Some(reply.body.clone()).filter(|body| !body.is_empty()))))
        }
        Step::Huge(bytes) => respond(&reply(200), huge(bytes, record)),
        Step::HugeHeader(bytes) => {
            respond(&reply(200).header("x", &"x".repeat(bytes)), parts(stream::empty()))
        }
        Step::Hang => std::future::pending().await,
        _ => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

async fn read(request: hyper::Request<Incoming>, connection: u64) -> io::Result<Request> {
    let (head, body) = request.into_parts();
    let mut headers = head.headers;
    if let Some(authority) = head.uri.authority() {
        headers.insert(HOST, HeaderValue::from_str(authority.as_str()).map_err(io::Error::other)?);
    }
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let path = head.uri.path_and_query().map_or("", |path| path.as_str()).into();
    Ok(Request {
        method: head.method.to_string(),
        path,
        headers,
        body,
        at: Instant::now(),
        connection,
        http2: true,
    })
}

fn respond(reply: &Reply, body: ReplyBody) -> io::Result<Response<ReplyBody>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(body).map_err(io::Error::other)
}

/// Returns a body of these parts.
fn parts(parts: impl Stream<Item = Bytes> + Send + 'static) -> ReplyBody {
    StreamBody::new(parts.map(|part| Ok(Frame::data(part)))).boxed_unsync()
}

fn huge(bytes: u64, record: Arc<Record>) -> ReplyBody {
    parts(stream::unfold(bytes, move |left| {
        let size = usize::try_from(left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
        record.sent_body_bytes(size);
        ready((size > 0).then(|| (Bytes::from_static(&CHUNK[..size]), left - size as u64)))
    }))
}
