//! The time limit of a request, and its errors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::API_REQUEST_TIMEOUT;
use futures_util::{StreamExt as _, stream};

use crate::problem::Problem;

/// Limits a request to [`API_REQUEST_TIMEOUT`]. A request whose body did not arrive in time was not processed and can be
/// repeated (408; RFC 9110, section 15.5.9). Otherwise the status is 504, since work on files continues to its end.
pub(crate) async fn enforce(request: Request, next: Next) -> Response {
    within(API_REQUEST_TIMEOUT, request, next).await
}

async fn within(limit: Duration, request: Request, next: Next) -> Response {
    let awaited = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| track(body, Arc::clone(&awaited)));
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) if awaited.load(Ordering::Relaxed) => {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time")
                .into_response()
        }
        Err(_) => {
            let what = "no response in time; the operation may still complete, so check its result before you \
            repeat it";
            Problem::new(StatusCode::GATEWAY_TIMEOUT, what).into_response()
        }
    }
}

/// Records in `awaited` whether the body is being waited for.
fn track(body: Body, awaited: Arc<AtomicBool>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    let mut pieces = body.into_data_stream();
    Body::from_stream(stream::poll_fn(move |context| {
        let polled = pieces.poll_next_unpin(context);
        awaited.store(polled.is_pending(), Ordering::Relaxed);
        polled
    }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::Router;
    use axum::body::Bytes;
    use axum::middleware::from_fn;
    use axum::routing::post;
    use tower::Service as _;

    use super::*;

    /// Reads the body, then never returns.
    async fn work(body: Bytes) {
        std::future::pending::<()>().await;
        drop(body);
    }

    async fn status(body: Body) -> u16 {
        // A body that is available at once still arrives in time.
        let at_once = from_fn(|request, next| within(Duration::ZERO, request, next));
        let mut router = Router::new().route("/", post(work)).layer(at_once);
        let Ok(response) = router.call(Request::post("/").body(body).unwrap()).await;
        response.status().as_u16()
    }

    #[tokio::test]
    async fn only_an_incomplete_request_is_a_408() {
        let piece = || stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{"))]);
        assert_eq!(status(Body::from_stream(piece().chain(stream::pending()))).await, 408);
        assert_eq!(status(Body::from_stream(piece())).await, 504);
        assert_eq!(status(Body::empty()).await, 504);
    }
}
