//! One-time links to log in to the dashboard.

use axum::http::StatusCode;
use decnet_core::access::ApiToken;
use decnet_core::redact::Secret;
use decnet_store::catalog::Actor;

use crate::problem::Problem;
use crate::server::Peer;
use crate::state::{Shared, now};

/// Exchanges the code of a link for the token of one session.
///
/// # Errors
/// 401 if the code is wrong, used, expired or revoked, 429 after too many of these.
pub(crate) async fn redeem_link(state: &Shared, peer: Peer, text: &str) -> Result<Secret, Problem> {
    if let Some(code) = ApiToken::parse_link_code(text) {
        let (pool, actor) = (state.gate.catalog(peer), Actor::login_link(code.id()));
        let redeem = state.change_access(pool, actor, move |catalog| catalog.redeem_link(&code, now()));
        if let Some(token) = redeem.await? {
            return Ok(Secret::new(token.expose()));
        }
    }
    state.gate.count_failure(peer)?;
    let what = "the link is not valid: it was used, has expired or was revoked; create another one with `decnet token link`";
    Err(Problem::new(StatusCode::UNAUTHORIZED, what))
}
