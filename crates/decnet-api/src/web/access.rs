//! Tokens and sessions. Only an admin sees them; other visitors see the audit list.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Redirect};
use decnet_web::access::{AccessPage, CreatedToken, RevokePage, Session, Token, TokenPage, Tokens};
use decnet_web::{Text, Time, encode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::SharedDashboard;
use super::reply::{self, PageReply, capitalized};
use super::sessions::{Listed, Sessions};
use super::visitor::{Change, NoFields, Visitor};
use crate::auth::PrincipalId;
use crate::problem::Problem;
use crate::state::now;

const PAGE: &str = "/access";

pub(super) async fn page(State(dashboard): State<SharedDashboard>, visitor: Visitor) -> PageReply {
    if !visitor.frame.can_change {
        return Ok(Redirect::to("/access/audit").into_response());
    }
    let Tokens { tokens } = dashboard.api.get(&visitor, "/tokens").await?;
    end_dead(&dashboard.sessions, &tokens);
    let listed = dashboard.sessions.list(Instant::now()).into_iter();
    let sessions = listed.map(|listed| session(listed, &visitor)).collect();
    reply::page(&AccessPage::new(visitor.into_frame(), tokens, sessions))
}

/// Ends the sessions whose token was revoked or has expired. They would end with their next request.
fn end_dead(sessions: &Sessions, tokens: &[Token]) {
    let is_active = |id: &str| tokens.iter().any(|token| token.id.raw() == id && token.is_active());
    sessions.end_where(|_, session| match &session.principal.id {
        PrincipalId::Token(id) => !is_active(id),
        PrincipalId::Session(_) => false,
    });
}

fn session(Listed { handle, session, age, idle }: Listed, visitor: &Visitor) -> Session {
    let at = |ago| Time::from(now().before(ago));
    let principal = &session.principal;
    Session {
        handle: handle.into(),
        who: Text::from(&*principal.name),
        is_of_decnet: matches!(principal.id, PrincipalId::Session(_)),
        scopes: principal.scopes.map(|scopes| scopes.to_string()).unwrap_or_default().into(),
        address: session.address.to_canonical().to_string().into(),
        since: at(age),
        last_seen: at(idle),
        is_own: Arc::ptr_eq(&session, &visitor.session),
    }
}

/// The fields of the form that creates a token.
#[derive(Deserialize)]
pub(super) struct NewToken {
    name: String,
    scope: String,
    /// The lifetime; empty without an expiry.
    expires: String,
}

/// Creates a token, and shows it in this response only.
pub(super) async fn create(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, fields: NewToken { name, scope, expires } }: Change<NewToken>,
) -> PageReply {
    let expires = Some(expires).filter(|expires| !expires.is_empty());
    let request = json!({"name": name.trim(), "scopes": [scope], "expires": expires});
    let created =
        dashboard.api.change::<CreatedToken>(&visitor, Method::POST, "/tokens", Some(request)).await;
    match created {
        Ok(created) => reply::page(&TokenPage { frame: visitor.into_frame(), created }),
        Err(problem) => refused(&visitor, problem),
    }
}

/// Asks whether to revoke.
pub(super) async fn confirm(
    State(dashboard): State<SharedDashboard>,
    visitor: Visitor,
    Path(id): Path<String>,
) -> PageReply {
    let Tokens { tokens } = dashboard.api.get(&visitor, "/tokens").await?;
    let token = tokens.into_iter().find(|token| token.id.raw() == id);
    let token = token.ok_or_else(|| Problem::not_found("token not found"))?;
    let is_own = matches!(&visitor.session.principal.id, PrincipalId::Token(own) if **own == *id);
    reply::page(&RevokePage { frame: visitor.into_frame(), token, is_own })
}

pub(super) async fn revoke(
    State(dashboard): State<SharedDashboard>,
    Path(id): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    let path = format!("/tokens/{}", encode(&id));
    match dashboard.api.change::<Value>(&visitor, Method::DELETE, &path, None).await {
        Ok(_) => Ok(visitor.done(PAGE, "The token is revoked, and its sessions have ended.")),
        Err(problem) => refused(&visitor, problem),
    }
}

/// Ends one session.
pub(super) async fn end(
    State(dashboard): State<SharedDashboard>,
    Path(handle): Path<String>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    require_admin(&visitor)?;
    let ended = dashboard.sessions.end_where(|found, _| *found == handle);
    tracing::info!(ended, by = %visitor.session.principal.name, "sessions of the dashboard were ended");
    Ok(visitor.done(PAGE, "The session has ended."))
}

/// Ends all sessions except for the visitor's own.
pub(super) async fn end_others(
    State(dashboard): State<SharedDashboard>,
    Change { visitor, .. }: Change<NoFields>,
) -> PageReply {
    require_admin(&visitor)?;
    let ended = dashboard.sessions.end_where(|_, session| !Arc::ptr_eq(session, &visitor.session));
    tracing::info!(ended, by = %visitor.session.principal.name, "sessions of the dashboard were ended");
    Ok(visitor.done(PAGE, "All other sessions have ended."))
}

/// Sessions are not a resource of the API, so their scope is checked here.
fn require_admin(visitor: &Visitor) -> Result<(), Problem> {
    let what = "only a session with the scope admin may end sessions";
    if visitor.frame.can_change { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, what)) }
}

/// Shows why the API rejects a change, on the page with the form.
fn refused(visitor: &Visitor, problem: Problem) -> PageReply {
    match problem.status() {
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::CONFLICT => {
            Ok(visitor.failed(PAGE, capitalized(problem.detail())))
        }
        _ => Err(problem),
    }
}
