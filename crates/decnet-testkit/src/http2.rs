//! HTTP/2 by script, as far as the library allows it: a step that breaks the connection over HTTP/1.1 resets
//! the stream here.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::server::TlsStream;

use crate::record::{Record, Request};
use crate::script::{Reply, Step, reply};

const CHUNK: &[u8] = &[b'x'; 16 * 1024];

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
            respond(&reply, Kind::Whole(reply.body.clone()))
        }
        Step::DripBody(interval) => respond(&reply(200), Kind::Drip { left: 1000, interval, sleep: None }),
        Step::Huge(bytes) => respond(&reply(200), Kind::Huge { left: bytes, record }),
        Step::HugeHeader(bytes) => {
            let reply = reply(200).header("x", &"x".repeat(bytes));
            respond(&reply, Kind::Whole(Bytes::new()))
        }
        Step::Hang => std::future::pending().await,
        Step::Reset
        | Step::CloseMidHeaders
        | Step::CloseMidBody
        | Step::Garbage(_)
        | Step::Raw(_)
        | Step::Late { .. }
        | Step::Endless(..)
        | Step::DripHead(_) => Err(io::ErrorKind::ConnectionReset.into()),
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

fn respond(reply: &Reply, kind: Kind) -> io::Result<Response<ReplyBody>> {
    let mut builder = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        builder = builder.header(name, value);
    }
    builder.body(ReplyBody(kind)).map_err(io::Error::other)
}

/// The body of a reply that is being sent.
struct ReplyBody(Kind);

enum Kind {
    Whole(Bytes),
    Drip { left: usize, interval: Duration, sleep: Option<Pin<Box<Sleep>>> },
    Huge { left: u64, record: Arc<Record> },
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = match &mut self.0 {
            Kind::Whole(bytes) => std::mem::take(bytes),
            Kind::Drip { left: 0, .. } => Bytes::new(),
            Kind::Drip { left, interval, sleep } => {
                let next = sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(*interval)));
                ready!(next.as_mut().poll(cx));
                (*left, *sleep) = (*left - 1, None);
                Bytes::from_static(b"x")
            }
            Kind::Huge { left, record } => {
                let size = usize::try_from(*left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
                *left -= size as u64;
                record.sent_body_bytes(size);
                Bytes::from_static(&CHUNK[..size])
            }
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }
}
