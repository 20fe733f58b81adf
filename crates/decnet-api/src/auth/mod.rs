//! Authentication and authorization.
//!
//! There is no ambient authority, such as a cookie or a trusted address. Every guarded route requires a credential in the
//! `Authorization` header, so a page in a browser cannot use a credential of its visitor. In the order of a request:
//!
//! - [`rate_limit`]: rate limits per address and per principal, in bounded memory;
//! - [`credential`]: parsing of the header: a token of ours, or a session of DECNET's dashboard;
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

use axum::extract::Request;
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
use crate::state::Shared;

/// The access configuration of the API, besides the tokens in the catalog.
#[derive(Debug, Default)]
pub struct Access {
    /// The key that verifies DECNET's session tokens (JWT), if they are accepted.
    pub jwt: Option<JwtKey>,
    /// The code of the link that creates the first token, if there is such a link.
    pub setup: Option<SetupCode>,
    /// The origins whose scripts may read answers, as browsers send them.
    pub cors_origins: Vec<String>,
}

/// Passes a request to its route if it has a credential that covers `scope`.
pub(crate) async fn require(scope: Scope, request: Request, next: Next) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let found = &parts.extensions;
    let (Some(state), Some(peer), Some(requester)) =
        (found.get::<Shared>(), found.get(), found.get::<Requester>())
    else {
        let missing =
            std::io::Error::other("an extension of the request is missing: state, peer or requester");
        return Err(Problem::internal("this request could not be authenticated", &missing));
    };
    let principal = gate::identify(state, &parts, *peer).await?;
    // The requester is recorded even if the request is rejected below.
    requester.set(principal.clone());
    let rate = state.gate.admit(&principal, scope)?;
    let mut request = Request::from_parts(parts, body);
    request.extensions_mut().insert(principal);
    let mut response = next.run(request).await;
    rate.write_headers(response.headers_mut());
    Ok(response)
}
