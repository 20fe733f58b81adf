//! One connection: HTTP/1.1, request after request.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{Request, Response};
use decnet_core::limits::{API_HEAD_TIMEOUT, MAX_API_HEAD_BYTES, MAX_API_HEADERS};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::Service as _;

use super::Peer;
use super::places::{Patience, Place};
use crate::auth::Asker;

pub(super) async fn serve(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    place: Place,
    shutdown: CancellationToken,
) {
    // Replies are whole when they are written; nothing is gained by waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "an API connection was gone at once");
        return;
    }
    let answer = service_fn(|request| {
        let asker = Asker::default();
        let busy = place.busy(asker.clone());
        let patience = place.patience(asker.clone());
        let request = Request::map(request, |body| Awaited { body, patience });
        let answer = answer(router.clone(), peer, asker, request);
        async move {
            // Whoever makes room begins nothing: its client sees the connection end without an answer.
            let _busy = busy.ok_or(Evicted)?;
            Ok::<_, Evicted>(answer.await)
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(API_HEAD_TIMEOUT);
    http.max_headers(MAX_API_HEADERS).max_buf_size(MAX_API_HEAD_BYTES);
    // A client may close its side after its request and still wants the answer (RFC 9112, section 9.6). One that closed
    // both sides looks the same, so its request goes on to its end, within `API_REQUEST_TIMEOUT`.
    http.half_close(true);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), answer));
    let served = tokio::select! {
        served = &mut connection => served,
        () = place.evicted() => return,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "an API connection broke");
    }
}

/// A request came when its connection was to make room for another.
#[derive(Debug, thiserror::Error)]
#[error("it made room for another connection")]
struct Evicted;

/// The body of a request, and how long it has been waited for.
struct Awaited {
    body: Incoming,
    patience: Patience,
}

impl hyper::body::Body for Awaited {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.patience.wait();
            return Poll::Pending;
        };
        if !self.patience.go_on() {
            return Poll::Ready(Some(Err(Evicted.into())));
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

async fn answer(mut router: Router, peer: Peer, asker: Asker, request: Request<Awaited>) -> Response<Body> {
    let mut request = request.map(Body::new);
    trim(request.uri_mut());
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(asker);
    let Ok(response) = router.call(request).await;
    response
}

/// A path with and without a slash at its end is the same.
fn trim(uri: &mut Uri) {
    let path = uri.path().trim_end_matches('/');
    if path.len() == uri.path().len() || path.is_empty() {
        return;
    }
    let trimmed = uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    if let Ok(path_and_query) = PathAndQuery::try_from(trimmed) {
        let mut parts = std::mem::take(uri).into_parts();
        parts.path_and_query = Some(path_and_query);
        *uri = Uri::from_parts(parts).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_makes_no_difference() {
        for (given, meant) in [
            ("/api/v1/webhooks/", "/api/v1/webhooks"),
            ("/a//?b=/", "/a?b=/"),
            ("/a?b/", "/a?b/"),
            ("/", "/"),
            ("//", "//"),
            ("http://h/a/", "http://h/a"),
        ] {
            let mut uri = given.parse().unwrap();
            trim(&mut uri);
            assert_eq!(uri.to_string(), meant);
        }
    }
}
