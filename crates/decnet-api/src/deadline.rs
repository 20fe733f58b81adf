//! How long a request may take, and what is said of it when that is over.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::API_REQUEST_TIMEOUT;
use hyper::body::{Frame, SizeHint};

use crate::problem::{Kind, Problem};

/// Answers within [`API_REQUEST_TIMEOUT`]. A request that did not come whole by then was not begun and can be sent again
/// (RFC 9110, section 15.5.9). Of another one nobody can say that: what works in files goes on to its end.
pub(crate) async fn keep(request: Request, next: Next) -> Response {
    within(API_REQUEST_TIMEOUT, request, next).await
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let awaited = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| Body::new(Awaited { body, awaited: Arc::clone(&awaited) }));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if awaited.load(Ordering::Relaxed) => {
            Problem::new(Kind::Timeout, "the body of the request did not come in time").into_response()
        }
        Err(_) => {
            let what = "there was no answer in time; what was asked for may have been done, or may be yet: look before \
                        you ask again";
            Problem::new(Kind::Overdue, what).into_response()
        }
    }
}

/// A body that notes whether somebody waits for it.
struct Awaited {
    body: Body,
    awaited: Arc<AtomicBool>,
}

impl hyper::body::Body for Awaited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use futures_util::{StreamExt as _, stream};
    use tower::Service as _;

    use super::*;

    /// Reads the body, and then works for ever.
    async fn work(body: Bytes) {
        std::future::pending::<()>().await;
        drop(body);
    }

    async fn status(body: Body) -> u16 {
        // What is there at once comes in time.
        let at_once = from_fn(|request, next| within(Duration::ZERO, request, next));
        let mut router = Router::new().route("/", post(work)).layer(at_once);
        let Ok(response) = router.call(Request::post("/").body(body).unwrap()).await;
        response.status().as_u16()
    }

    #[tokio::test]
    async fn only_a_request_that_did_not_come_whole_is_said_to_be_late() {
        let piece = || stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        assert_eq!(status(Body::from_stream(piece().chain(stream::pending()))).await, 408);
        assert_eq!(status(Body::from_stream(piece())).await, 504);
        assert_eq!(status(Body::empty()).await, 504);
    }
}
