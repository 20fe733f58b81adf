//! One HTTP/1.1 connection.

use std::task::Poll;

use axum::BoxError;
use axum::body::Body;
use axum::http::Request;
use decnet_core::limits::{API_HEAD_TIMEOUT, MAX_API_HEAD_BYTES, MAX_API_HEADERS};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyDataStream;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::connection_limit::{BodyWait, ConnectionPermit};
use super::{App, ConnectionEnd, Peer};
use crate::auth::Requester;

pub(super) async fn serve(
    stream: TcpStream,
    peer: Peer,
    app: App,
    permit: ConnectionPermit,
    shutdown: CancellationToken,
) {
    // Replies are written whole; delaying them gains nothing.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "an API connection closed before its first request");
        return;
    }
    let end = ConnectionEnd { close: permit.evicted.clone(), shutdown: shutdown.clone() };
    let service = service_fn(|request: Request<Incoming>| {
        let requester = Requester::default();
        let guard = permit.begin_request(requester.clone());
        let body_wait = permit.body_wait(requester.clone());
        let mut request = request.map(|body| evictable(body, body_wait));
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(requester);
        request.extensions_mut().insert(end.clone());
        let mut app = app.clone();
        async move {
            // An evicted connection begins no request; its client sees the connection close without a response.
            let _guard = guard.ok_or(Evicted)?;
            let Ok(response) = app.call(request).await;
            Ok::<_, Evicted>(response)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(API_HEAD_TIMEOUT);
    http.max_headers(MAX_API_HEADERS).max_buf_size(MAX_API_HEAD_BYTES);
    // A client may half-close after its request and still expects the response (RFC 9112, section 9.6). A full close looks
    // the same, so its request also runs to its end, within `API_REQUEST_TIMEOUT`.
    http.half_close(true);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    let served = tokio::select! {
        served = &mut connection => served,
        () = permit.evicted.cancelled() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an API connection failed");
    }
}

/// A request arrived on a connection that was already evicted.
#[derive(Debug, thiserror::Error)]
#[error("the connection was evicted in favour of another")]
struct Evicted;

/// Returns the body of a request. While it is waited for, the connection can be evicted.
fn evictable(body: Incoming, mut body_wait: BodyWait) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    let mut pieces = BodyDataStream::new(body);
    Body::from_stream(stream::poll_fn(move |context| {
        let polled = pieces.poll_next_unpin(context);
        if polled.is_pending() {
            body_wait.wait();
        } else if !body_wait.resume() {
            return Poll::Ready(Some(Err(Evicted.into())));
        }
        polled.map_err(BoxError::from)
    }))
}
