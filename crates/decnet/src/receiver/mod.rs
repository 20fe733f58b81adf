//! A local receiver of webhooks, for `decnet receive` and `decnet serve --demo`.
//!
//! [`run`] answers HTTP/1.1 and passes on each request as a [`Received`] after its signature has been checked ([`verify`]). It can
//! imitate a chat service ([`chat`]).

mod chat;
mod public_key;
mod verify;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use decnet_core::limits::{MAX_BODY_BYTES, SHUTDOWN_GRACE};
use decnet_core::time::UnixMicros;
use decnet_runtime::accept::Acceptor;
pub(crate) use decnet_runtime::clock::now;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use self::chat::{Chat, ChatMessage};
pub(crate) use self::public_key::PublicKey;
pub(crate) use self::verify::{Keys, Origin};

/// The maximum number of concurrent connections; further connections wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;
/// The maximum size of a request body. A delivery's body is about as large as the event's bus frame.
const MAX_REQUEST_BYTES: usize = 2 * MAX_BODY_BYTES;
/// The time for pending responses, beyond their delay, when the receiver stops.
const ANSWER_GRACE: Duration = Duration::from_secs(1);

/// The options of a receiver.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The sender's keys.
    pub(crate) keys: Keys,
    /// The service that is imitated.
    pub(crate) chat: Option<Chat>,
    /// The status of every response; `None` for that of the service, or else 204.
    pub(crate) status: Option<StatusCode>,
    /// The delay of each response.
    pub(crate) delay: Duration,
}

/// One complete request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    /// The time at which the last byte arrived.
    pub(crate) at: UnixMicros,
    /// The result of the signature check.
    pub(crate) origin: Origin,
    /// The value of `X-DECNET-Event-Topic`.
    pub(crate) topic: String,
    /// The value of `webhook-id`, else that of `X-DECNET-Event-Id`.
    pub(crate) id: String,
    /// The time of the event, according to the body.
    pub(crate) happened_at: Option<UnixMicros>,
    /// The status of the response.
    pub(crate) status: StatusCode,
    /// The method and the path.
    pub(crate) target: String,
    /// The body, unchanged.
    pub(crate) body: Bytes,
}

impl Options {
    /// Returns status and body of the response to a request with this body.
    fn response(&self, body: &[u8]) -> (StatusCode, &'static str) {
        match (self.status, self.chat) {
            (Some(status), _) => (status, ""),
            (None, Some(chat)) if chat.read(body).is_some() => chat.accepted(),
            (None, Some(chat)) => chat.refused(),
            (None, None) => (StatusCode::NO_CONTENT, ""),
        }
    }
}

impl Received {
    /// Returns the time from the event to the arrival of the last byte.
    pub(crate) fn latency(&self) -> Option<Duration> {
        self.happened_at.map(|happened_at| self.at.since(happened_at))
    }
}

/// Serves a listening socket until `shutdown`, then answers pending requests for a short time. If the channel `received` is
/// full, responses wait for it.
///
/// # Errors
/// The socket cannot be used.
pub(crate) async fn run(
    listener: std::net::TcpListener,
    options: Options,
    received: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let (mut listener, options) = (TcpListener::from_std(listener)?, Arc::new(options));
    let (mut acceptor, mut connections) = (Acceptor::new(&mut listener, "receiver"), JoinSet::new());
    loop {
        tokio::select! {
            (stream, _) = acceptor.accept(), if connections.len() < MAX_CONNECTIONS => {
                connections.spawn(serve(stream, options.clone(), received.clone(), shutdown.clone()));
            }
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    let answered = async { while connections.join_next().await.is_some() {} };
    let grace = (options.delay + ANSWER_GRACE).min(SHUTDOWN_GRACE);
    if tokio::time::timeout(grace, answered).await.is_err() {
        tracing::debug!("dropped connections with unanswered requests");
    }
    Ok(())
}

async fn serve(
    stream: TcpStream,
    options: Arc<Options>,
    received: mpsc::Sender<Received>,
    shutdown: CancellationToken,
) {
    let answer = |request| answer(request, &options, &received);
    let mut http = http1::Builder::new();
    // A sender may close its side after the request and still expects the response (RFC 9112, section 9.6).
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
        tracing::debug!(%error, "a sender's connection failed");
    }
}

async fn answer(
    request: Request<Incoming>,
    options: &Options,
    received: &mpsc::Sender<Received>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_REQUEST_BYTES).collect().await else {
        return Ok(reply(StatusCode::PAYLOAD_TOO_LARGE, ""));
    };
    let body = body.to_bytes();
    let (status, response) = options.response(&body);
    let request = read(&head, body, status, &options.keys, now());
    // The sender gets a response even if the consumer has stopped.
    drop(received.send(request).await);
    tokio::time::sleep(options.delay).await;
    Ok(reply(status, response))
}

fn read(
    head: &hyper::http::request::Parts,
    body: Bytes,
    status: StatusCode,
    keys: &Keys,
    at: UnixMicros,
) -> Received {
    let header = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = match header("webhook-id") {
        "" => header("x-decnet-event-id"),
        id => id,
    };
    Received {
        at,
        origin: verify::origin(header, &body, keys, at),
        topic: header("x-decnet-event-topic").to_owned(),
        id: id.to_owned(),
        happened_at: happened_at(&body),
        status,
        target: format!("{} {}", head.method, head.uri.path()),
        body,
    }
}

/// Returns the time of the event; of a batch that of its first event, of a CloudEvent its `time`.
fn happened_at(body: &[u8]) -> Option<UnixMicros> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let event = body.get(0).unwrap_or(&body);
    UnixMicros::from_sqlite(event.get("ts").or(event.get("time"))?.as_str()?)
}

fn reply(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::from(body));
    *reply.status_mut() = status;
    reply
}
