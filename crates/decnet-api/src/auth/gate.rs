//! Whose a credential is, and whether it covers what a route asks for.

use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use decnet_core::access::{ApiToken, Claims, JwtKey, Scope, Scopes, TokenDigest};
use decnet_core::limits::{
    API_RATE_WINDOW, FAILED_ACCESS_WINDOW, MAX_ADDRESS_REQUESTS, MAX_FAILED_ACCESS, MAX_TOKEN_REQUESTS,
};
use decnet_store::catalog::{DecnetUser, Session, TokenState};

use super::counts::{Counts, Network, Standing};
use super::credential::{self, Credential};
use super::setup::Setup;
use super::uses::{self, Uses};
use super::{Access, Principal, PrincipalKind};
use crate::problem::{Kind, Problem, is_decnets};
use crate::server::Peer;
use crate::state::{Shared, now};

/// DECNET's words for a credential that counts for nothing; whatever the reason, so that nobody learns it.
const NOT_VALID: &str = "Could not validate credentials";
/// DECNET's words for a good credential without the right.
const NOT_ALLOWED: &str = "Insufficient permissions";
/// DECNET's words for a user who must choose a password first.
const MUST_CHANGE: &str = "Password change required before accessing this resource";
/// DECNET's roles.
const ADMIN: &str = "admin";
const VIEWER: &str = "viewer";

/// What the judgement of every request shares.
pub(crate) struct Gate {
    jwt: Option<JwtKey>,
    addresses: Counts<Network>,
    failures: Counts<Network>,
    principals: Counts<(PrincipalKind, Arc<str>)>,
    pub(super) uses: Uses,
    pub(crate) setup: Option<Setup>,
}

/// Why a request goes no further.
enum Denied {
    /// It shows nothing.
    Missing,
    /// What it shows counts for nothing.
    Invalid,
    /// DECNET's user must change their password before anything else.
    MustChangePassword,
    /// It could not be judged.
    Unjudged(Problem),
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Unjudged(problem)
    }
}

impl Gate {
    pub(crate) fn new(access: Access) -> Self {
        Self {
            jwt: access.jwt,
            addresses: Counts::new(MAX_ADDRESS_REQUESTS, API_RATE_WINDOW),
            failures: Counts::new(MAX_FAILED_ACCESS, FAILED_ACCESS_WINDOW),
            principals: Counts::new(MAX_TOKEN_REQUESTS, API_RATE_WINDOW),
            uses: Uses::default(),
            setup: access.setup.as_ref().map(Setup::new),
        }
    }

    /// Counts a request without a good credential.
    ///
    /// # Errors
    /// Too many from this address.
    pub(crate) fn count_address(&self, peer: Peer) -> Result<(), Problem> {
        let standing = self.addresses.count(Network::of(peer.0.ip()), Instant::now());
        standing.check("requests from one address without a good credential").map(drop)
    }

    /// Counts a wrong credential. They are far too long to be guessed; what is bounded is the noise.
    ///
    /// # Errors
    /// Too many from this address.
    pub(super) fn count_failure(&self, peer: Peer) -> Result<(), Problem> {
        let standing = self.failures.count(Network::of(peer.0.ip()), Instant::now());
        standing.check("wrong credentials from one address").map(drop)
    }
}

/// Judges a request to a route that asks for `scope`.
///
/// # Errors
/// 401 without a credential that counts, 403 without the scope, 429 when it is too much.
pub(super) async fn admit(
    state: &Shared,
    scope: Scope,
    request: &Parts,
    peer: Peer,
) -> Result<(Principal, Standing), Problem> {
    let on_decnets = is_decnets(request.uri.path());
    let gate = &state.gate;
    let shown = credential::read(&request.headers);
    let principal = match identify(state, shown).await {
        Ok(principal) => principal,
        Err(Denied::Missing) => return Err(missing(on_decnets)),
        Err(Denied::Invalid) => {
            gate.count_failure(peer)?;
            return Err(invalid());
        }
        Err(Denied::MustChangePassword) => return Err(Problem::new(Kind::Forbidden, MUST_CHANGE)),
        Err(Denied::Unjudged(problem)) => return Err(problem),
    };
    let key = (principal.kind, Arc::clone(&principal.id));
    let standing = gate.principals.count(key, Instant::now()).check("requests with one credential")?;
    if principal.scopes.cover(scope) { Ok((principal, standing)) } else { Err(forbidden(scope)) }
}

async fn identify(state: &Shared, credential: Credential<'_>) -> Result<Principal, Denied> {
    match credential {
        Credential::None => Err(Denied::Missing),
        Credential::Unreadable => Err(Denied::Invalid),
        Credential::Token(token) => of_token(state, &token).await,
        Credential::Session(text) => {
            let key = state.gate.jwt.as_ref().ok_or(Denied::Invalid)?;
            let claims = key.verify(text, now()).map_err(|why| {
                tracing::debug!(%why, "a session was refused");
                Denied::Invalid
            })?;
            of_session(state, claims).await
        }
    }
}

/// The look-up is by the id, which is public; the secret is compared in constant time, and compared where there is
/// no such token too.
async fn of_token(state: &Shared, token: &ApiToken) -> Result<Principal, Denied> {
    let (id, now) = (token.id().to_owned(), now());
    let stored = state.credentials.run(move |catalog| catalog.token(&id)).await?;
    let kept = stored.as_ref().and_then(|stored| stored.digest);
    let is_it = kept.unwrap_or(TokenDigest::of(b"")).matches(&token.digest());
    let stored = stored.filter(|stored| is_it && kept.is_some() && stored.state(now) == TokenState::Active);
    let stored = stored.ok_or(Denied::Invalid)?;
    if let Some(setup) = &state.gate.setup {
        setup.close();
    }
    let id = Arc::from(stored.id);
    uses::note(state, &id, stored.last_used_at, now);
    Ok(Principal { kind: PrincipalKind::Token, id, name: stored.name.into(), scopes: stored.scopes })
}

async fn of_session(state: &Shared, claims: Claims) -> Result<Principal, Denied> {
    let (user, id) = (claims.user.clone(), claims.id.clone());
    let session = state.credentials.run(move |catalog| catalog.session(&user, &id)).await?;
    let scopes = scopes_of(&session, &claims)?;
    let id: Arc<str> = claims.user.into();
    let name = match session {
        Session::Of(DecnetUser { username: Some(name), .. }) => name.into(),
        _ => Arc::clone(&id),
    };
    Ok(Principal { kind: PrincipalKind::Session, id, name, scopes })
}

/// What a session whose signature is good may do, by DECNET's rules.
///
/// A catalog without users is not DECNET's: there is no role to look up, and only a session that itself says `admin`,
/// as DECNET's own do not, may do anything.
fn scopes_of(session: &Session, claims: &Claims) -> Result<Scopes, Denied> {
    match session {
        Session::UnknownUser | Session::Revoked => Err(Denied::Invalid),
        Session::NoUsers => Ok(match claims.role.as_deref() {
            Some(ADMIN) => Scopes::new([Scope::Admin]),
            _ => Scopes::default(),
        }),
        Session::Of(DecnetUser { valid_from: Some(from), .. }) if claims.issued_at < *from => {
            Err(Denied::Invalid)
        }
        Session::Of(DecnetUser { must_change_password: true, .. }) => Err(Denied::MustChangePassword),
        Session::Of(user) => Ok(match user.role.as_str() {
            ADMIN => Scopes::new([Scope::Admin]),
            VIEWER => Scopes::new([Scope::Read]),
            _ => Scopes::default(),
        }),
    }
}

fn missing(on_decnets: bool) -> Problem {
    let ours = "send a token: `Authorization: Bearer dcn_…`; `decnet token create` makes one";
    let told = if on_decnets { NOT_VALID } else { ours };
    Problem::new(Kind::Unauthenticated, told).with(WWW_AUTHENTICATE, challenge(""))
}

fn invalid() -> Problem {
    Problem::new(Kind::Unauthenticated, NOT_VALID)
        .with(WWW_AUTHENTICATE, challenge(", error=\"invalid_token\""))
}

fn forbidden(scope: Scope) -> Problem {
    let what = format!(", error=\"insufficient_scope\", scope=\"{scope}\"");
    Problem::new(Kind::Forbidden, NOT_ALLOWED).with(WWW_AUTHENTICATE, challenge(&what))
}

/// RFC 6750 section 3. Nothing is said of an error where nothing was shown.
fn challenge(what: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer realm=\"decnet\"{what}")).expect("plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(role: Option<&str>) -> Claims {
        Claims { user: "u".into(), id: "j".into(), issued_at: 100, role: role.map(Into::into) }
    }

    fn user(role: &str, valid_from: Option<i64>, must_change_password: bool) -> Session {
        Session::Of(DecnetUser { username: None, role: role.into(), valid_from, must_change_password })
    }

    fn verdict(session: &Session, role: Option<&str>) -> String {
        match scopes_of(session, &claims(role)) {
            Ok(scopes) => scopes.to_string(),
            Err(Denied::MustChangePassword) => "must change".into(),
            Err(_) => "invalid".into(),
        }
    }

    #[test]
    fn a_sessions_rights_are_those_of_decnets_user() {
        for (session, role, expected) in [
            (user("admin", None, false), None, "admin"),
            (user("admin", Some(100), false), None, "admin"),
            (user("admin", Some(101), false), None, "invalid"),
            (user("admin", None, true), None, "must change"),
            (user("admin", Some(101), true), None, "invalid"),
            (user("viewer", None, false), None, "read"),
            // What the token says of itself counts for nothing where DECNET has users.
            (user("viewer", None, false), Some("admin"), "read"),
            (user("root", None, false), Some("admin"), ""),
            (Session::UnknownUser, Some("admin"), "invalid"),
            (Session::Revoked, Some("admin"), "invalid"),
            (Session::NoUsers, Some("admin"), "admin"),
            (Session::NoUsers, Some("viewer"), ""),
            (Session::NoUsers, None, ""),
        ] {
            assert_eq!(verdict(&session, role), expected, "{session:?} {role:?}");
        }
    }
}
