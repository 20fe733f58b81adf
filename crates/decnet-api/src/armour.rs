//! What surrounds every answer: counts by address, headers that keep browsers out of trouble, and a line in the log.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::CORS_MAX_AGE;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::Principal;
use crate::server::Peer;
use crate::state::Shared;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What every answer carries, unless its route says otherwise: it is kept nowhere, is what it says it is, loads
/// nothing, is framed by nobody, and tells nobody where the reader came from. HSTS is for whoever serves TLS.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Answers, with the headers that every answer carries.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Answers, unless too much is asked from one address.
pub(crate) async fn count(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let counted = request.extensions().get::<Peer>().map(|peer| state.gate.count_address(*peer));
    match counted {
        Some(Err(problem)) => problem.into_response(),
        _ => next.run(request).await,
    }
}

/// Answers, and says so in the log. The route is named, not the path or the query: they may hold what is not for logs.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let (method, started) = (request.method().clone(), Instant::now());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(no route)", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let response = next.run(request).await;
    let principal = response.extensions().get::<Principal>();
    tracing::debug!(
        %method,
        route,
        peer = peer.map(tracing::field::display),
        by = principal.map(|principal| tracing::field::display(&principal.name)),
        status = response.status().as_u16(),
        millis = started.elapsed().as_secs_f64() * 1e3,
        "request"
    );
    response
}

/// Lets the scripts of these pages, and of no others, read answers. Never with cookies: there are none.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, IDEMPOTENCY_KEY])
        .expose_headers([RETRY_AFTER, WWW_AUTHENTICATE, RATE_LIMIT])
        .max_age(CORS_MAX_AGE)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn every_header_is_named_once() {
        let headers = HeaderMap::from_iter(HEADERS);
        assert_eq!(headers.len(), HEADERS.len());
    }
}
