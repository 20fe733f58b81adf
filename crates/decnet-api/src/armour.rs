//! What surrounds every answer: counts by address, headers that keep browsers out of trouble, and a line in the log.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{Method, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::{CORS_MAX_AGE, MAX_API_HEAD_BYTES};
use hyper::body::Body as _;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::auth::{Asker, Gate};
use crate::codings;
use crate::problem::{Kind, Problem};
use crate::routes::HEALTH;
use crate::server::Peer;

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

/// Answers, unless too much is asked from one address by those who show no good credential. A good one is counted by itself,
/// whatever it is answered, so nobody is refused for what a neighbour asks; nor is whoever only asks if the process lives.
pub(crate) async fn count(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Peer>().copied();
    let Some(peer) = peer.filter(|_| request.uri().path() != HEALTH) else { return next.run(request).await };
    let refused = |problem: Problem| problem.into_response();
    if !request.headers().contains_key(AUTHORIZATION) {
        return match gate.count_address(peer) {
            Ok(()) => next.run(request).await,
            Err(problem) => refused(problem),
        };
    }
    let asker = request.extensions().get::<Asker>().cloned().unwrap_or_default();
    // Whether a credential is good shows when it is judged.
    let response = next.run(request).await;
    if asker.principal().is_some() {
        return response;
    }
    gate.count_address(peer).map_or_else(refused, |()| response)
}

/// The same for what is answered without coming so far.
pub(crate) async fn count_preflights(gate: State<Arc<Gate>>, request: Request, next: Next) -> Response {
    if request.method() == Method::OPTIONS {
        count(gate, request, next).await
    } else {
        next.run(request).await
    }
}

/// Answers, unless the request has not the form that HTTP/1.1 demands, its head is too large, or its body is in a coding that is
/// not decoded here.
pub(crate) async fn check_form(request: Request, next: Next) -> Response {
    if head_bytes(&request) > MAX_API_HEAD_BYTES {
        let what = format!("request line and headers have at most {MAX_API_HEAD_BYTES} bytes");
        return Problem::new(Kind::HeadTooLarge, what).into_response();
    }
    if !has_host(request.version(), request.headers()) {
        let what = "send one Host header with the name of this server, and its port if it has one";
        return Problem::malformed(what).into_response();
    }
    let has_body = !request.body().is_end_stream();
    if has_body && let Err(problem) = codings::check(request.headers()) {
        return problem.into_response();
    }
    next.run(request).await
}

/// The size of a request's head, but for blanks that mean nothing. hyper bounds what it buffers while a head is not whole,
/// and takes one that becomes whole with the last piece it reads: up to twice as much.
fn head_bytes(request: &Request) -> usize {
    let line = request.method().as_str().len() + request.uri().path().len();
    let query = request.uri().query().map_or(0, |query| 1 + query.len());
    let fields =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len());
    line + query + "  HTTP/1.1\r\n\r\n".len() + fields.sum::<usize>()
}

/// RFC 9112, section 3.2: from HTTP/1.1 on there is one `Host`; before it may be missing. An empty one is one.
fn has_host(version: Version, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => version < Version::HTTP_11,
        (Some(host), None) => host.is_empty() || host.to_str().is_ok_and(is_host),
        _ => false,
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2).
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else { return false };
    let port = text.strip_prefix(authority.host());
    let is_port = |rest: &str| {
        rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    port.is_some_and(|rest| rest.is_empty() || is_port(rest))
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
    let asker = request.extensions().get::<Asker>().cloned().unwrap_or_default();
    let response = next.run(request).await;
    tracing::debug!(
        %method,
        route,
        peer = peer.map(tracing::field::display),
        by = asker.principal().map(|principal| tracing::field::display(&principal.name)),
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
    use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

    use axum::http::StatusCode;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::get;
    use axum::{Extension, Router};
    use decnet_core::limits::MAX_ADDRESS_REQUESTS;
    use tower::Service as _;

    use super::*;
    use crate::auth::{Access, Principal, PrincipalId};

    /// A good credential, and an answer that is none of a route's.
    async fn overdue(Extension(asker): Extension<Asker>) -> Problem {
        let id = PrincipalId::Token("a".into());
        asker.note(Principal { id, name: "ci".into(), scopes: None });
        Problem::new(Kind::Overdue, "no answer in time")
    }

    const PEER: Peer = Peer(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1)));

    fn gate() -> Arc<Gate> {
        Arc::new(Gate::new(Access::default(), || Err(Problem::stopping())))
    }

    /// A request of [`PEER`]; the route `/overdue` takes any credential for a good one.
    fn request(method: Method, path: &'static str, authorization: Option<&'static str>) -> Request {
        let mut request = Request::new(axum::body::Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let shown = authorization.map(|value| (AUTHORIZATION, HeaderValue::from_static(value)));
        request.headers_mut().extend(shown);
        request.extensions_mut().insert(PEER);
        request.extensions_mut().insert(Asker::default());
        request
    }

    /// Uses up what an address may ask in the present window.
    fn use_up(gate: &Gate) {
        while gate.count_address(PEER).is_ok() {}
    }

    #[tokio::test]
    async fn requests_with_a_credential_use_up_nothing_of_the_address() {
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
    async fn a_used_up_address_refuses_neither_credentials_nor_health() {
        let gate = gate();
        let routes = Router::new().route("/overdue", get(overdue)).route("/ready", get(|| async {}));
        let mut router =
            routes.route(HEALTH, get(|| async {})).layer(from_fn_with_state(gate.clone(), count));
        let mut status = async |path: &'static str, authorization: Option<&'static str>| {
            let Ok(response) = router.call(request(Method::GET, path, authorization)).await;
            response.status()
        };
        // A window may end in between; then all of it is done again.
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
    async fn a_refused_preflight_says_when_to_retry() {
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
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
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
    fn from_http_1_1_on_there_is_one_host() {
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
    fn every_header_is_named_once() {
        let headers = HeaderMap::from_iter(HEADERS);
        assert_eq!(headers.len(), HEADERS.len());
    }
}
