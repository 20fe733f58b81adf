//! The protection of every page: names, origins, and the content security policy.
//!
//! A browser sends the session's cookie with requests that other pages cause. `SameSite=Strict` prevents this for other sites,
//! but pages of other ports of the same host belong to the same site. Therefore every change must have the exact `Origin` of the
//! dashboard and the form token of its session. A page of a foreign name that resolves to this server (DNS rebinding) has that
//! name in `Host`, which is rejected.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CONTENT_SECURITY_POLICY, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
};
use axum::http::uri::Authority;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::SharedDashboard;
use super::reply::{self, FrameSlot};
use super::sessions::random_text;
use crate::problem::Problem;

/// The origins under which the dashboard is served.
pub(super) struct Origins(Vec<String>);

/// The nonce of one response.
#[derive(Clone)]
pub(super) struct Nonce(pub(super) Arc<str>);

impl Origins {
    pub(super) fn new(configured: Vec<String>) -> Self {
        Self(configured)
    }

    /// Returns whether the dashboard is served under a `Host`: an address, `localhost`, or a configured name. Foreign names
    /// that resolve to this server are none of these.
    fn allows_host(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let is_configured = |origin: &String| {
            origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host))
        };
        is_address || name.eq_ignore_ascii_case("localhost") || self.0.iter().any(is_configured)
    }

    /// Returns whether a change may come from an origin: that of the page itself, or a configured one.
    fn allows_origin(&self, origin: &str, host: &str) -> bool {
        let is_own = matches!(origin.split_once("://"), Some(("http" | "https", rest)) if rest.eq_ignore_ascii_case(host));
        is_own || self.0.iter().any(|configured| configured == origin)
    }
}

/// Rejects requests under foreign names and changes from foreign origins, and sets the headers of every page.
pub(super) async fn protect(
    State(dashboard): State<SharedDashboard>,
    mut request: Request,
    next: Next,
) -> Response {
    let nonce = Nonce(random_text().into());
    let frame = FrameSlot::default();
    request.extensions_mut().insert(nonce.clone());
    request.extensions_mut().insert(frame.clone());
    let seen = reply::Seen::of(&request);
    let response = match check(&dashboard.origins, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let mut response = reply::render_problem(response, &seen, &frame, &nonce);
    for (name, value) in headers(&nonce) {
        response.headers_mut().insert(name, value);
    }
    response
}

fn check(origins: &Origins, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text(HOST).unwrap_or_default();
    if !origins.allows_host(host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the dashboard is not served under this name; use its address, or add its origin to \
             DECNET_DASHBOARD_ORIGINS",
        ));
    }
    let is_change = !matches!(*method, Method::GET | Method::HEAD);
    if is_change && !text(ORIGIN).is_some_and(|origin| origins.allows_origin(origin, host)) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the request does not come from a page of this dashboard; if a proxy is in front of it, add its \
             origin to DECNET_DASHBOARD_ORIGINS",
        ));
    }
    Ok(())
}

/// Returns the headers of a page: only scripts with the nonce run, and only a named policy may write markup (Trusted Types).
/// With the default `no-referrer`, browsers send `Origin: null` with forms (Fetch, section 3.2), so that changes could not be told
/// apart.
fn headers(nonce: &Nonce) -> [(HeaderName, HeaderValue); 3] {
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{}'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types htmx",
        nonce.0
    );
    let policy = HeaderValue::try_from(policy).expect("hexadecimal digits in plain ASCII");
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    let same_origin = HeaderValue::from_static("same-origin");
    [(CONTENT_SECURITY_POLICY, policy), (opener, same_origin.clone()), (REFERRER_POLICY, same_origin)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        Origins::new(vec!["https://hooks.example".into(), "https://ops.example:8443".into()])
    }

    #[test]
    fn foreign_names_are_rejected() {
        for (host, is_allowed) in [
            ("127.0.0.1:8000", true),
            ("192.0.2.1", true),
            ("[::1]:8000", true),
            ("localhost:8000", true),
            ("LOCALHOST", true),
            ("hooks.example", true),
            ("HOOKS.example", true),
            ("ops.example:8443", true),
            ("ops.example", false),
            ("evil.example", false),
            ("127.0.0.1.evil.example:8000", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(origins().allows_host(host), is_allowed, "{host}");
        }
    }

    #[test]
    fn change_needs_the_exact_origin() {
        let verdict = |method: Method, origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8000"));
            headers.extend(origin.map(|origin| (ORIGIN, HeaderValue::from_static(origin))));
            check(&origins(), &method, &headers).is_ok()
        };
        assert!(verdict(Method::GET, None) && verdict(Method::GET, Some("https://evil.example")));
        for (origin, is_allowed) in [
            (None, false),
            (Some("null"), false),
            (Some("http://127.0.0.1:8000"), true),
            (Some("https://127.0.0.1:8000"), true),
            (Some("https://hooks.example"), true),
            (Some("http://127.0.0.1:8001"), false),
            (Some("http://127.0.0.1"), false),
            (Some("http://localhost:8000"), false),
            (Some("ftp://127.0.0.1:8000"), false),
            (Some("https://evil.example"), false),
        ] {
            assert_eq!(verdict(Method::POST, origin), is_allowed, "{origin:?}");
        }
    }
}
