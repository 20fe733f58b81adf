//! Authentication and authorization.
//!
//! The API has no ambient authority, such as a cookie or a trusted address. Every guarded route requires a credential in the
//! `Authorization` header, so a page in a browser cannot use a credential of its visitor. The dashboard has sessions with a
//! cookie, and its own protection of them ([`crate::web`]). In the order of a request:
//!
//! - [`rate_limit`]: rate limits per address and per principal, in bounded memory;
//! - [`credential`]: parsing of the header: an API token, or a session of DECNET's dashboard;
//! - [`gate`]: validation of the credential, and of its scopes;
//! - [`principal`]: the authenticated requester;
//! - [`last_used`]: the time of a token's last use, recorded off the request path;
//! - [`login_link`]: one-time links to log in to the dashboard;
//! - [`setup`]: the link that creates the first token;
//! - [`exposure`]: the addresses on which an API without a credential may listen.

mod credential;
mod exposure;
mod gate;
mod last_used;
mod login_link;
mod principal;
mod rate_limit;
mod setup;

use axum::extract::Extension;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use decnet_core::access::JwtKey;
pub(crate) use decnet_core::access::Scope;
use decnet_core::redact::Secret;

pub use self::exposure::{Exposed, check_exposure};
pub(crate) use self::gate::Gate;
pub(crate) use self::login_link::redeem_link;
pub(crate) use self::principal::{Principal, PrincipalId, Requester};
pub(crate) use self::rate_limit::{Network, RATE_LIMIT, RateLimiter};
pub use self::setup::SetupCode;
pub(crate) use self::setup::routes as setup_routes;
use crate::problem::Problem;
use crate::server::Peer;
use crate::state::Shared;

/// The access configuration of the API, except for the tokens in the catalog.
#[derive(Debug, Default)]
pub struct Access {
    /// The key that verifies DECNET's session tokens (JWT), if they are accepted.
    pub jwt: Option<JwtKey>,
    /// The code of the link that creates the first token, if there is such a link.
    pub setup: Option<SetupCode>,
    /// The origins whose scripts may read responses, as browsers send them.
    pub cors_origins: Vec<String>,
    /// The origins under which a proxy serves the dashboard, as browsers send them. The dashboard is also served under every
    /// address of the server and under `localhost`.
    pub dashboard_origins: Vec<String>,
}

/// The shared state and the sender of a request, from its extensions.
pub(crate) type RequestContext = (Extension<Shared>, Extension<Peer>, Extension<Requester>);

/// Authenticates a credential that the dashboard keeps for a session, and checks its scope, as for a request with the credential
/// in the header `Authorization`.
///
/// # Errors
/// 401 without a valid credential, 403 without the scope, 429 beyond a rate limit.
pub(crate) async fn require_bearer(
    scope: Scope,
    (Extension(state), Extension(peer), Extension(requester)): RequestContext,
    bearer: &Secret,
) -> Result<Principal, Problem> {
    let value = HeaderValue::try_from(format!("Bearer {}", bearer.expose()));
    let mut parts = Request::new(()).into_parts().0;
    parts.headers.extend(value.ok().map(|value| (AUTHORIZATION, value)));
    let principal = gate::identify(&state, &parts, peer).await?;
    requester.set(principal.clone());
    state.gate.admit(&principal, scope)?;
    Ok(principal)
}

/// Passes a request to its route if it has a credential that covers `scope`.
pub(crate) async fn require(
    scope: Scope,
    (Extension(state), Extension(peer), Extension(requester)): RequestContext,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let principal = gate::identify(&state, &parts, peer).await?;
    // The requester is recorded even if the request is rejected below.
    requester.set(principal.clone());
    let rate = state.gate.admit(&principal, scope)?;
    parts.extensions.insert(principal);
    let mut response = next.run(Request::from_parts(parts, body)).await;
    rate.write_headers(response.headers_mut());
    Ok(response)
}
