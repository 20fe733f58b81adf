//! Authentication and authorization.
//!
//! There is no ambient authority, such as a cookie or a trusted address. Every guarded route requires a credential in the
//! `Authorization` header, so a page in a browser cannot use a credential of its visitor. In the order of a request:
//!
//! - [`rate_limit`]: rate limits per address and per principal, in bounded memory;
//! - [`credential`]: parsing of the header: an API token, or a session of DECNET's dashboard;
//! - [`gate`]: validation of the credential, and of its scopes;
//! - [`principal`]: the authenticated requester;
//! - [`last_used`]: the time of a token's last use, recorded off the request path;
//! - [`setup`]: the link that creates the first token;
//! - [`exposure`]: the addresses on which an API without a credential may listen.

mod credential;
mod exposure;
mod gate;
mod last_used;
mod principal;
mod rate_limit;
mod setup;

use axum::extract::{Extension, Request};
use axum::middleware::Next;
use axum::response::Response;
use decnet_core::access::JwtKey;
pub(crate) use decnet_core::access::Scope;

pub use self::exposure::{Exposed, check_exposure};
pub(crate) use self::gate::Gate;
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
}

/// The shared state and the sender of a request, from its extensions.
pub(crate) type RequestContext = (Extension<Shared>, Extension<Peer>, Extension<Requester>);

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
