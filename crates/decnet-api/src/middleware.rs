//! Middleware around every route: rate limits per address, security headers, request checks, and the request log.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode, Version};
use axum::middleware::Next;
use axum::response::Response;
use decnet_core::limits::{CORS_MAX_AGE, MAX_API_HEAD_BYTES};
use hyper::body::Body as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::{Gate, RATE_LIMIT, Requester};
use crate::codings;
use crate::problem::Problem;
use crate::routes::HEALTH;
use crate::server::Peer;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Default headers of every response: it is not cached, sniffed or framed, loads nothing, and sends no referrer. A route may
/// override them. HSTS is left to the TLS proxy.
const HEADERS: [(HeaderName, HeaderValue); 5] = [
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds the default headers to a response.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}

/// Rate-limits requests without a valid credential per address. An authenticated request counts against its principal only,
/// whatever its response, so that clients behind one address do not affect each other. Health checks are not limited.
pub(crate) async fn count(gate: State<Arc<Gate>>, request: Request, next: Next) -> Result<Response, Problem> {
    let peer = request.extensions().get::<Peer>().copied();
    let Some(peer) = peer.filter(|_| request.uri().path() != HEALTH) else {
        return Ok(next.run(request).await);
    };
    if !request.headers().contains_key(AUTHORIZATION) {
        gate.count_address(peer)?;
        return Ok(next.run(request).await);
    }
    let requester = request.extensions().get::<Requester>().cloned().unwrap_or_default();
    // Whether the credential is valid is only known afterwards.
    let response = next.run(request).await;
    if requester.principal().is_none() {
        gate.count_address(peer)?;
    }
    Ok(response)
}

/// Rate-limits CORS preflights, which do not reach [`count`].
pub(crate) async fn count_preflights(
    gate: State<Arc<Gate>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let is_preflight = request.method() == Method::OPTIONS;
    if is_preflight { count(gate, request, next).await } else { Ok(next.run(request).await) }
}

/// Rejects a request whose `Host` is invalid, whose head is too large, or whose body has an unsupported coding.
pub(crate) async fn check_form(request: Request, next: Next) -> Result<Response, Problem> {
    if head_bytes(&request) > MAX_API_HEAD_BYTES {
        let what = format!("request line and headers exceed {MAX_API_HEAD_BYTES} bytes");
        return Err(Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, what));
    }
    if !has_host(request.version(), request.headers()) {
        let what = "the request must have exactly one Host header with the name of this server and, if needed, its \
                    port";
        return Err(Problem::malformed(what));
    }
    let has_body = !request.body().is_end_stream();
    if has_body {
        codings::check(request.headers())?;
    }
    Ok(next.run(request).await)
}

/// Returns the size of a request's head without insignificant whitespace. hyper bounds only what it buffers of an incomplete
/// head, so a complete head may be up to twice as large.
fn head_bytes(request: &Request) -> usize {
    let line = request.method().as_str().len() + request.uri().path().len();
    let query = request.uri().query().map_or(0, |query| 1 + query.len());
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + query + "  HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

/// Returns whether `Host` is valid: HTTP/1.1 requires exactly one, which may be empty (RFC 9112, section 3.2).
fn has_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => host.is_empty() || host.to_str().is_ok_and(is_host),
        _ => false,
    }
}

/// Returns whether the text is `uri-host [ ":" port ]` (RFC 9110, section 7.2).
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let port = text.strip_prefix(authority.host());
    let is_port = |rest: &str| {
        rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    port.is_some_and(|rest| rest.is_empty() || is_port(rest))
}

/// Logs a request at debug level. Logs the route, not the path or the query, which may contain secrets.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return next.run(request).await;
    }
    let (method, started) = (request.method().clone(), Instant::now());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(no route)", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0);
    let requester = request.extensions().get::<Requester>().cloned().unwrap_or_default();
    let response = next.run(request).await;
    tracing::debug!(
        %method,
        route,
        peer = peer.map(tracing::field::display),
        by = requester.principal().map(|principal| tracing::field::display(&principal.name)),
        status = response.status().as_u16(),
        millis = started.elapsed().as_secs_f64() * 1e3,
        "request"
    );
    response
}

/// Allows scripts of these origins to read responses. Credentials are not allowed, because the API does not use cookies.
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
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use axum::{Extension, Router};
    use decnet_core::limits::MAX_ADDRESS_REQUESTS;
    use tower::Service as _;

    use super::*;
    use crate::auth::{Access, Principal, PrincipalId};

    /// Authenticates the requester and returns an error that no route returns.
    async fn overdue(Extension(requester): Extension<Requester>) -> Problem {
        let id = PrincipalId::Token("a".into());
        requester.set(Principal { id, name: "ci".into(), scopes: None });
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "no response in time")
    }

    const PEER: Peer = Peer(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1)));

    fn gate() -> Arc<Gate> {
        Arc::new(Gate::new(Access::default(), || Err(Problem::stopping())))
    }

    /// Returns a request of [`PEER`]. The route `/overdue` accepts any credential.
    fn request(method: Method, path: &'static str, authorization: Option<&'static str>) -> Request {
        let mut request = Request::new(axum::body::Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let shown = authorization.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        request.headers_mut().extend(shown);
        request.extensions_mut().insert(PEER);
        request.extensions_mut().insert(Requester::default());
        request
    }

    /// Uses up the requests that an address may send in the current window.
    fn use_up(gate: &Gate) {
        while gate.count_address(PEER).is_ok() {}
    }

    #[tokio::test]
    async fn valid_credentials_do_not_count_against_their_address() {
        let routes = Router::new().route("/overdue", get(overdue)).route("/ready", get(|| async {}));
        let mut router = routes.layer(from_fn_with_state(gate(), count));
        let mut status = async |path: &'static str, authorization: Option<&'static str>| {
            let Ok(response) = router.call(request(Method::GET, path, authorization)).await;
            response.status()
        };
        for _ in 0..=MAX_ADDRESS_REQUESTS {
            assert_eq!(status("/overdue", Some("x")).await, StatusCode::GATEWAY_TIMEOUT);
        }
        assert_eq!(status("/ready", None).await, StatusCode::OK);
    }

    #[tokio::test]
    async fn only_requests_without_credentials_exhaust_their_address() {
        let gate = gate();
        let routes = Router::new().route("/overdue", get(overdue)).route("/ready", get(|| async {}));
        let mut router =
            routes.route(HEALTH, get(|| async {})).layer(from_fn_with_state(gate.clone(), count));
        let mut status = async |path: &'static str, authorization: Option<&'static str>| {
            let Ok(response) = router.call(request(Method::GET, path, authorization)).await;
            response.status()
        };
        // A window may end in between; the test then repeats everything.
        loop {
            use_up(&gate);
            let statuses = [
                status("/ready", None).await,
                status("/overdue", Some("x")).await,
                status(HEALTH, None).await,
                status("/ready", None).await,
            ];
            assert_eq!(statuses[1..3], [StatusCode::GATEWAY_TIMEOUT, StatusCode::OK]);
            if statuses[0] == StatusCode::TOO_MANY_REQUESTS && statuses[3] == StatusCode::TOO_MANY_REQUESTS {
                break;
            }
        }
    }

    #[tokio::test]
    async fn rejected_preflight_has_a_retry_after_header() {
        let gate = gate();
        let routes = Router::new().route("/ready", get(|| async {}));
        let counted = routes.layer(from_fn_with_state(gate.clone(), count_preflights));
        let mut router = counted.layer(from_fn(headers));
        let refused = loop {
            use_up(&gate);
            let Ok(response) = router.call(request(Method::OPTIONS, "/ready", None)).await;
            if response.status() == StatusCode::TOO_MANY_REQUESTS {
                break response;
            }
        };
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        assert_eq!(refused.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        let Ok(response) = router.call(request(Method::GET, "/ready", None)).await;
        assert_eq!(response.status(), StatusCode::OK, "other methods are counted elsewhere");
    }

    #[test]
    fn host_is_a_name_or_address_with_optional_port() {
        for (text, is) in [
            ("decnet.example", true),
            ("decnet.example:8000", true),
            ("127.0.0.1:", true),
            ("[::1]:8000", true),
            ("[::1]", true),
            ("a:b", false),
            ("a:1:2", false),
            ("user@a", false),
            ("user:1@a", false),
            ("a b", false),
            ("a/b", false),
            ("a,b:1, c", false),
            ("[::1", false),
            ("http://a", false),
            ("a?b", false),
        ] {
            assert_eq!(is_host(text), is, "{text}");
        }
    }

    #[test]
    fn http_1_1_requires_one_host() {
        let headers = |hosts: &[&'static str]| -> HeaderMap {
            hosts.iter().map(|host| (HOST, HeaderValue::from_static(host))).collect()
        };
        assert!(has_host(Version::HTTP_10, &headers(&[])) && !has_host(Version::HTTP_11, &headers(&[])));
        for version in [Version::HTTP_10, Version::HTTP_11] {
            assert!(has_host(version, &headers(&["a"])) && has_host(version, &headers(&[""])));
            assert!(!has_host(version, &headers(&["a", "a"])) && !has_host(version, &headers(&["a b"])));
        }
    }

    #[test]
    fn each_default_header_is_named_once() {
        let headers = HeaderMap::from_iter(HEADERS);
        assert_eq!(headers.len(), HEADERS.len());
    }
}
