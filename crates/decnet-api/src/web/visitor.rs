//! The visitor of a page: the session, and what it may do.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Extension, Form, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::{COOKIE, HOST, HeaderMap};
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::response::{IntoResponse as _, Redirect, Response};
use decnet_core::access::Scope;
use decnet_web::{Frame, Notice, Text};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::SharedDashboard;
use super::guard::Nonce;
use super::reply::{FrameSlot, Seen};
use super::sessions::Session;
use crate::auth::{self, Principal, Requester};
use crate::problem::Problem;
use crate::server::Peer;

/// The visitor of a page.
pub(super) struct Visitor {
    pub(super) session: Arc<Session>,
    pub(super) peer: Peer,
    pub(super) requester: Requester,
    /// The frame of the visitor's page.
    pub(super) frame: Frame,
}

/// A visitor who changes something, and the fields of the form.
pub(super) struct Change<T> {
    pub(super) visitor: Visitor,
    pub(super) fields: T,
}

#[derive(Deserialize)]
struct Fields<T> {
    #[serde(default)]
    csrf: String,
    #[serde(flatten)]
    fields: T,
}

/// Marks a request whose page is shown to several visitors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared;

/// The fields of a form that has only a button.
#[derive(Deserialize)]
pub(super) struct NoFields {}

impl Visitor {
    /// Answers a change: the next page, which shows the result.
    pub(super) fn done(&self, next: &str, text: impl Into<Text>) -> Response {
        self.session.notify(Notice { text: text.into(), is_error: false });
        Redirect::to(next).into_response()
    }

    /// Answers a change that failed: the next page, which shows the reason.
    pub(super) fn failed(&self, next: &str, text: impl Into<Text>) -> Response {
        self.session.notify(Notice { text: text.into(), is_error: true });
        Redirect::to(next).into_response()
    }

    /// Checks that the visitor may change something, for a page that is only a form.
    ///
    /// # Errors
    /// The session may only read (403).
    pub(super) fn check_may_change(&self) -> Result<(), Problem> {
        let detail = "this session may only read; log in with a token of the scope admin";
        if self.frame.can_change { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, detail)) }
    }

    /// Returns the frame of the page.
    pub(super) fn into_frame(self) -> Frame {
        self.frame
    }
}

impl FromRequestParts<SharedDashboard> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, dashboard: &SharedDashboard) -> Result<Self, Problem> {
        let id = session_id(&parts.headers).ok_or_else(not_logged_in)?;
        let (peer, requester) = context(parts).ok_or_else(not_logged_in)?;
        let (session, principal) = admit(dashboard, id, peer, &requester).await?;
        let frame = frame(parts, &session, &principal);
        Ok(Self { session, peer, requester, frame })
    }
}

/// Returns the session with an id, and its principal. A session whose credential is no longer valid ends.
///
/// # Errors
/// There is no such session, or its credential may not read.
pub(super) async fn admit(
    dashboard: &SharedDashboard,
    id: &str,
    peer: Peer,
    requester: &Requester,
) -> Result<(Arc<Session>, Principal), Problem> {
    let session = dashboard.sessions.find(id, Instant::now()).ok_or_else(not_logged_in)?;
    let context = (Extension(Arc::clone(&dashboard.state)), Extension(peer), Extension(requester.clone()));
    let admitted = auth::require_bearer(Scope::Read, context, &session.bearer).await;
    if admitted.as_ref().is_err_and(|problem| problem.status() == StatusCode::UNAUTHORIZED) {
        dashboard.sessions.end(id);
    }
    Ok((session, admitted?))
}

impl<T: DeserializeOwned> FromRequest<SharedDashboard> for Change<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, dashboard: &SharedDashboard) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, dashboard).await?;
        let form = Form::<Fields<T>>::from_request(Request::from_parts(parts, body), dashboard).await;
        let Form(Fields { csrf, fields }) =
            form.map_err(|rejection| Problem::malformed(rejection.body_text()))?;
        if !visitor.session.accepts(&csrf) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "the form belongs to another session; open the page again and repeat the action",
            ));
        }
        Ok(Self { visitor, fields })
    }
}

/// Returns the sender of a request and its requester.
pub(super) fn context(parts: &Parts) -> Option<(Peer, Requester)> {
    let peer = parts.extensions.get::<Peer>().copied()?;
    Some((peer, parts.extensions.get::<Requester>().cloned()?))
}

/// Returns the frame, and keeps a copy for an error page.
fn frame(parts: &Parts, session: &Session, principal: &Principal) -> Frame {
    let seen = Seen::of_parts(parts);
    let nonce = parts.extensions.get::<Nonce>().map(|nonce| nonce.0.to_string());
    // What several visitors see has nothing of one of them.
    let is_shared = parts.extensions.get::<Shared>().is_some();
    let mut frame = Frame {
        nonce: nonce.unwrap_or_default(),
        who: if is_shared { Text::default() } else { Text::from(&*principal.name) },
        csrf: if is_shared { String::new() } else { session.csrf().to_owned() },
        can_change: principal.scopes.is_some_and(|scopes| scopes.permit(Scope::Admin)),
        notice: None,
        version: env!("CARGO_PKG_VERSION"),
        url: seen.url,
    };
    if let Some(slot) = parts.extensions.get::<FrameSlot>() {
        slot.set(frame.clone());
    }
    // A page that refreshes itself must not take the notice from the page that follows an action.
    if seen.is_get && !seen.is_refresh {
        frame.notice = session.take_notice();
    }
    frame
}

fn not_logged_in() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "log in first")
}

/// Returns the session's id in the cookie.
pub(super) fn session_id(headers: &HeaderMap) -> Option<&str> {
    let name = cookie_name(headers);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Returns the name of the cookie. It contains the port: browsers do not separate cookies by port, and two servers on one host
/// would otherwise end each other's sessions.
pub(super) fn cookie_name(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.parse::<Authority>().ok().and_then(|authority| authority.port_u16());
    port.map_or_else(|| "decnet_session".to_owned(), |port| format!("decnet_session_{port}"))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn cookie_of_another_port_is_ignored() {
        let headers = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_static(host));
            headers.insert(
                COOKIE,
                HeaderValue::from_static(
                    "a=b; decnet_session_8000=one; decnet_session=three;decnet_session_8001=two",
                ),
            );
            headers
        };
        assert_eq!(session_id(&headers("127.0.0.1:8000")), Some("one"));
        assert_eq!(session_id(&headers("[::1]:8001")), Some("two"));
        assert_eq!(session_id(&headers("hooks.example")), Some("three"));
        assert_eq!(session_id(&headers("127.0.0.1:8002")), None);
    }
}
