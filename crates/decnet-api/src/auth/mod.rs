//! Who asks, and what they may do.
//!
//! There is no ambient authority: no cookie, no address that is trusted. Every guarded route wants a credential in
//! the `Authorization` header, so a page in somebody's browser has nothing to borrow. In the order of a request:
//!
//! - [`counts`]: how often an address or a token may ask, in bounded memory;
//! - [`credential`]: what the header holds: a token of ours, or a session of DECNET's dashboard;
//! - [`gate`]: whose it is, and whether it covers what the route asks for;
//! - [`principal`]: who asks, once that is known;
//! - [`uses`]: when a token was used last, noted off the request's path;
//! - [`setup`]: the link that makes the first token;
//! - [`exposure`]: on which addresses an API without a credential may listen.

mod counts;
mod credential;
mod exposure;
mod gate;
mod principal;
mod setup;
mod uses;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use decnet_core::access::JwtKey;
pub(crate) use decnet_core::access::Scope;

pub(crate) use self::counts::{Counts, Network};
pub use self::exposure::{Exposed, check_exposure};
pub(crate) use self::gate::Gate;
pub(crate) use self::principal::{Asker, Principal, PrincipalId};
pub use self::setup::SetupCode;
pub(crate) use self::setup::routes as setup_routes;
use crate::problem::Problem;
use crate::state::Shared;

/// Who may use the API, beside the tokens in the catalog.
#[derive(Debug, Default)]
pub struct Access {
    /// What DECNET's sessions are signed with, where they are taken.
    pub jwt: Option<JwtKey>,
    /// What the link that makes the first token carries, where there is one.
    pub setup: Option<SetupCode>,
    /// The web pages whose scripts may read answers: origins as browsers send them.
    pub cors_origins: Vec<String>,
}

/// Lets a request through to a route that asks for `scope`, if it carries a credential that covers it.
pub(crate) async fn require(scope: Scope, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let found = &parts.extensions;
    let (Some(state), Some(peer), Some(asker)) = (found.get::<Shared>(), found.get(), found.get::<Asker>())
    else {
        let missing = std::io::Error::other("a request has no state, no peer or no asker");
        return Problem::internal("this request could not be judged", &missing).into_response();
    };
    let principal = match gate::identify(state, &parts, *peer).await {
        Ok(principal) => principal,
        Err(problem) => return problem.into_response(),
    };
    // Whatever the answer is, it is theirs.
    asker.note(principal.clone());
    match state.gate.admit(&principal, scope) {
        Ok(standing) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(principal);
            let mut response = next.run(request).await;
            standing.describe(response.headers_mut());
            response
        }
        Err(problem) => problem.into_response(),
    }
}
