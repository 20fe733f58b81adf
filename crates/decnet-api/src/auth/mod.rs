//! Who asks, and what they may do.
//!
//! There is no ambient authority: no cookie, no address that is trusted. Every guarded route wants a credential in
//! the `Authorization` header, so a page in somebody's browser has nothing to borrow. In the order of a request:
//!
//! - [`counts`]: how often an address or a token may ask, in bounded memory;
//! - [`credential`]: what the header holds: a token of ours, or a session of DECNET's dashboard;
//! - [`gate`]: whose it is, and whether it covers what the route asks for;
//! - [`uses`]: when a token was used last, noted off the request's path;
//! - [`setup`]: the link that makes the first token;
//! - [`exposure`]: on which addresses an API without a credential may listen.

mod counts;
mod credential;
mod exposure;
mod gate;
mod setup;
mod uses;

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
pub(crate) use decnet_core::access::Scope;
use decnet_core::access::{JwtKey, Scopes};

pub(crate) use self::counts::{Counts, Network};
pub use self::exposure::{Exposed, check_exposure};
pub(crate) use self::gate::Gate;
pub use self::setup::SetupCode;
pub(crate) use self::setup::routes as setup_routes;
use crate::problem::Problem;
use crate::server::Peer;
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

/// Who asks; an extension of each request to a guarded route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    /// How they proved it.
    pub(crate) kind: PrincipalKind,
    /// The id of the token, or of DECNET's user. Not secret.
    pub(crate) id: Arc<str>,
    /// What to call them in a log.
    pub(crate) name: Arc<str>,
    /// What they may do.
    pub(crate) scopes: Scopes,
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PrincipalKind {
    /// By a token of ours.
    Token,
    /// By a session of DECNET's dashboard.
    Session,
}

/// Who sends a request to a guarded route, as a text that is always the same for them.
pub(crate) fn identity(request: &Request) -> String {
    let principal = request.extensions().get::<Principal>();
    principal.map(|Principal { kind, id, .. }| format!("{kind:?}:{id}")).unwrap_or_default()
}

/// Lets a request through to a route that asks for `scope`, if it carries a credential that covers it.
pub(crate) async fn require(scope: Scope, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let (Some(state), Some(peer)) = (parts.extensions.get::<Shared>(), parts.extensions.get::<Peer>()) else {
        let missing = std::io::Error::other("a request has neither state nor peer");
        return Problem::internal("this request could not be judged", &missing).into_response();
    };
    match gate::admit(state, scope, &parts, *peer).await {
        Ok((principal, standing)) => {
            let mut request = Request::from_parts(parts, body);
            request.extensions_mut().insert(principal.clone());
            let mut response = next.run(request).await;
            standing.describe(response.headers_mut());
            response.extensions_mut().insert(principal);
            response
        }
        Err(problem) => problem.into_response(),
    }
}
