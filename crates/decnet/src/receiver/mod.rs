//! A receiver of webhooks on this machine: `decnet receive`, and the other end of `decnet serve --demo`.
//!
//! [`Receiver`] answers HTTP/1 and passes on each request as a [`Received`], once its origin was checked
//! ([`verify`]).

mod verify;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decnet_core::limits::{MAX_BODY_BYTES, SHUTDOWN_GRACE};
use decnet_core::signature::SigningKey;
use decnet_core::time::UnixMicros;
pub(crate) use decnet_store::clock::now;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::verify::Origin;

/// Connections served at once; further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// Longest body that is read: an event's body is its bus frame's, in another order, and a little more.
const MAX_REQUEST_BYTES: usize = 2 * MAX_BODY_BYTES;
/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What an answer gets beyond its delay when the receiver stops.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// How the receiver answers, and what it checks with.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// What the sender signs with; without it nothing is checked.
    pub(crate) key: Option<SigningKey>,
    /// The status of every answer.
    pub(crate) status: StatusCode,
    /// How long each answer is held back.
    pub(crate) delay: Duration,
}

impl Options {
    /// Answers 204 at once.
    pub(crate) fn new(key: Option<SigningKey>) -> Self {
        Self { key, status: StatusCode::NO_CONTENT, delay: Duration::ZERO }
    }
}

/// One request, read to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// When its last byte was there.
    pub(crate) at: UnixMicros,
    /// Does its signature prove where it comes from?
    pub(crate) origin: Origin,
    /// `X-DECNET-Event-Topic`.
    pub(crate) topic: String,
    /// `webhook-id`, else `X-DECNET-Event-Id`.
    pub(crate) id: String,
    /// When the event happened, as its body says.
    pub(crate) happened_at: Option<UnixMicros>,
    /// Method and path.
    pub(crate) target: String,
    /// As it came.
    pub(crate) body: Bytes,
}

impl Received {
    /// From the event to the receipt of its last byte.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.happened_at.map(|happened_at| self.at.since(happened_at))
    }
}

/// A receiver that listens; [`Receiver::run`] makes it answer.
#[derive(Debug)]
pub(crate) struct Receiver {
    listener: TcpListener,
    options: Arc<Options>,
}

impl Receiver {
    /// Takes the address; port 0 is any that is free.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) async fn bind(address: SocketAddr, options: Options) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, options: Arc::new(options) })
    }

    /// Takes a socket that listens already.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn from_std(listener: std::net::TcpListener, options: Options) -> std::io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, options: Arc::new(options) })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub(crate) fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown`; requests that are there by then are answered, for a moment. A full `seen` slows
    /// the answers down.
    pub(crate) async fn run(self, seen: mpsc::Sender<Received>, shutdown: CancellationToken) {
        let Self { listener, options } = self;
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, options.clone(), seen.clone(), shutdown.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the receiver cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
                () = shutdown.cancelled() => break,
            }
        }
        let answered = async { while connections.join_next().await.is_some() {} };
        let grace = (options.delay + ANSWER_GRACE).min(SHUTDOWN_GRACE);
        if tokio::time::timeout(grace, answered).await.is_err() {
            tracing::debug!("connections were dropped before they were answered");
        }
    }
}

async fn serve(
    stream: TcpStream,
    options: Arc<Options>,
    seen: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) {
    let answer = |request| answer(request, &options, &seen);
    let mut http = http1::Builder::new();
    // A sender may close its side after its request and still wants the answer (RFC 9112, section 9.6).
    http.half_close(true);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service_fn(answer)));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a sender's connection broke");
    }
}

async fn answer(
    request: Request<Incoming>,
    options: &Options,
    seen: &mpsc::Sender<Received>,
) -> Result<Response<Empty<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return Ok(reply(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let received = read(&head, body.to_bytes(), options.key.as_ref(), now());
    // Whoever asked for the requests may have heard enough; the sender is answered all the same.
    drop(seen.send(received).await);
    tokio::time::sleep(options.delay).await;
    Ok(reply(options.status))
}

fn read(
    head: &hyper::http::request::Parts,
    body: Bytes,
    key: Option<&SigningKey>,
    at: UnixMicros,
) -> Received {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = match header("webhook-id") {
        "" => header("x-decnet-event-id"),
        id => id,
    };
    Received {
        at,
        origin: verify::origin(header, &body, key, at),
        topic: header("x-decnet-event-topic").to_owned(),
        id: id.to_owned(),
        happened_at: happened_at(&body),
        target: format!("{} {}", head.method, head.uri.path()),
        body,
    }
}

/// When the event happened, if the body is one of ours; of a batch its first, of a CloudEvent its `time`.
fn happened_at(body: &[u8]) -> Option<UnixMicros> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let event = body.get(0).unwrap_or(&body);
    UnixMicros::from_sqlite(event.get("ts").or(event.get("time"))?.as_str()?)
}

fn reply(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut reply = Response::new(Empty::new());
    *reply.status_mut() = status;
    reply
}
