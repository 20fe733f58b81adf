//! Login with an API token, a session of DECNET or a one-time link, and logout.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Form, Query, State};
use axum::http::header::{HeaderMap, HeaderValue, ORIGIN, SET_COOKIE};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use decnet_core::access::{ApiToken, Scope};
use decnet_core::limits::DASHBOARD_SESSION_TTL;
use decnet_core::redact::Secret;
use decnet_web::Frame;
use decnet_web::page::Login;
use serde::Deserialize;

use super::SharedDashboard;
use super::guard::Nonce;
use super::reply::{self, PageReply, capitalized};
use super::visitor::{Change, NoFields, Visitor, cookie_name, session_id};
use crate::auth::{self, Requester};
use crate::problem::Problem;
use crate::server::Peer;

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
    /// Present if a one-time link leads here. Its code is in the fragment, which browsers do not send.
    link: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    token: String,
    #[serde(default)]
    next: String,
}

/// Shows the form, unless the visitor is logged in.
pub(super) async fn form(
    visitor: Option<LoggedIn>,
    Extension(nonce): Extension<Nonce>,
    Query(Next { next, link }): Query<Next>,
) -> PageReply {
    match visitor {
        Some(_) if link.is_none() => Ok(Redirect::to(local(&next)).into_response()),
        _ => show(&nonce, next, link.is_some(), None),
    }
}

/// Begins a session for a valid credential that may read: an API token, a session of DECNET, or the code of a one-time link.
pub(super) async fn log_in(
    State(dashboard): State<SharedDashboard>,
    Extension(nonce): Extension<Nonce>,
    (Extension(peer), Extension(requester)): (Extension<Peer>, Extension<Requester>),
    headers: HeaderMap,
    Form(Credentials { token, next }): Form<Credentials>,
) -> PageReply {
    let refused = |problem: &Problem, reason: String| {
        Ok((problem.status(), show(&nonce, next.clone(), false, Some(reason))?).into_response())
    };
    let bearer = match ApiToken::has_link_prefix(token.trim()) {
        true => auth::redeem_link(&dashboard.state, peer, token.trim()).await,
        false => Ok(Secret::new(token.trim())),
    };
    let bearer = match bearer {
        Ok(bearer) => bearer,
        Err(problem) => return refused(&problem, capitalized(problem.detail())),
    };
    let context = (Extension(Arc::clone(&dashboard.state)), Extension(peer), Extension(requester));
    let principal = match auth::require_bearer(Scope::Read, context, &bearer).await {
        Ok(principal) => principal,
        Err(problem) => return refused(&problem, reason(&problem)),
    };
    if let Some(old) = session_id(&headers) {
        dashboard.sessions.end(old);
    }
    let id = dashboard.sessions.begin(principal, bearer, peer.0.ip(), Instant::now());
    with_cookie(Redirect::to(local(&next)).into_response(), &headers, &id, DASHBOARD_SESSION_TTL.as_secs())
}

/// Ends the session.
pub(super) async fn log_out(
    State(dashboard): State<SharedDashboard>,
    headers: HeaderMap,
    _: Change<NoFields>,
) -> PageReply {
    if let Some(id) = session_id(&headers) {
        dashboard.sessions.end(id);
    }
    with_cookie(Redirect::to("/login").into_response(), &headers, "", 0)
}

/// A visitor with a session.
pub(super) struct LoggedIn;

impl axum::extract::OptionalFromRequestParts<SharedDashboard> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut axum::http::request::Parts,
        dashboard: &SharedDashboard,
    ) -> Result<Option<Self>, Problem> {
        use axum::extract::FromRequestParts as _;
        match Visitor::from_request_parts(parts, dashboard).await {
            Ok(_) => Ok(Some(Self)),
            Err(problem) if problem.status() == StatusCode::UNAUTHORIZED => Ok(None),
            Err(problem) => Err(problem),
        }
    }
}

fn show(nonce: &Nonce, next: String, is_link: bool, error: Option<String>) -> PageReply {
    let frame = Frame { nonce: nonce.0.to_string(), version: env!("CARGO_PKG_VERSION"), ..Frame::default() };
    reply::page(&Login { frame, error, next, is_link })
}

fn reason(problem: &Problem) -> String {
    match problem.status() {
        StatusCode::UNAUTHORIZED => "The token is not valid: it is misspelled, revoked or expired.".into(),
        StatusCode::FORBIDDEN => {
            "The token is valid, but it may not read. Use one with the scope read or admin.".into()
        }
        _ => capitalized(problem.detail()),
    }
}

/// Returns a path on this server, so that a link to the login cannot lead elsewhere.
fn local(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if is_path && next.parse::<Uri>().is_ok() { next } else { "/" }
}

/// Sets the cookie. It is `Secure` if the browser came over HTTPS, as with a proxy.
fn with_cookie(mut response: Response, headers: &HeaderMap, id: &str, seconds: u64) -> PageReply {
    let is_https = headers.get(ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    let secure = if is_https { "; Secure" } else { "" };
    let name = cookie_name(headers);
    let cookie = format!("{name}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::try_from(cookie);
    let cookie = cookie.map_err(|error| Problem::internal("the cookie of a session is invalid", &error))?;
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn login_leads_only_to_this_server() {
        for (next, to) in [
            ("/deliveries?state=dead", "/deliveries?state=dead"),
            ("", "/"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("/a\nb", "/"),
        ] {
            assert_eq!(local(next), to, "{next:?}");
        }
    }
}
