//! Authentication and authorization of requests.

use std::sync::Arc;
use std::time::Instant;

use axum::http::StatusCode;
use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use decnet_core::access::{ApiToken, Claims, JwtKey, Scope, Scopes, TokenDigest};
use decnet_core::limits::{
    API_RATE_WINDOW, AUTH_FAILURE_WINDOW, MAX_ADDRESS_REQUESTS, MAX_API_CREDENTIAL_READERS,
    MAX_API_SUSPECT_READERS, MAX_AUTH_FAILURES, MAX_TOKEN_REQUESTS,
};
use decnet_store::catalog::{Catalog, DecnetUser, Session, TokenState};

use super::credential::{self, Credential};
use super::last_used::{self, LastUsed};
use super::rate_limit::{Network, RateLimit, RateLimiter};
use super::setup::Setup;
use super::{Access, Principal, PrincipalId};
use crate::pool::Pool;
use crate::problem::{Problem, is_decnets};
use crate::server::Peer;
use crate::state::{Shared, now};

/// DECNET's text for an invalid credential. It does not depend on the reason, so that clients cannot learn it.
const NOT_VALID: &str = "Could not validate credentials";
/// DECNET's text for a valid credential without the required scope.
const NOT_ALLOWED: &str = "Insufficient permissions";
/// DECNET's text for a user who must change the password first.
const MUST_CHANGE: &str = "Password change required before accessing this resource";
/// DECNET's roles.
const ADMIN: &str = "admin";
const VIEWER: &str = "viewer";

/// The state that authentication and authorization of all requests share.
pub(crate) struct Gate {
    jwt: Option<JwtKey>,
    addresses: RateLimiter<Network>,
    failures: RateLimiter<Network>,
    principals: RateLimiter<PrincipalId>,
    /// Connections for looking up credentials, so that slow requests do not delay authentication.
    catalog: Pool<Catalog>,
    /// Connections for credentials from addresses that sent too many invalid credentials. Such addresses delay only each other.
    suspect_catalog: Pool<Catalog>,
    pub(super) last_used: LastUsed,
    pub(crate) setup: Option<Setup>,
}

/// A session that is not valid.
struct Invalid;

impl Gate {
    /// Creates a gate; `open` opens the catalog.
    pub(crate) fn new(
        access: Access,
        open: impl Fn() -> Result<Catalog, Problem> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self {
            jwt: access.jwt,
            addresses: RateLimiter::new(MAX_ADDRESS_REQUESTS, API_RATE_WINDOW),
            failures: RateLimiter::new(MAX_AUTH_FAILURES, AUTH_FAILURE_WINDOW),
            principals: RateLimiter::new(MAX_TOKEN_REQUESTS, API_RATE_WINDOW),
            catalog: Pool::new(MAX_API_CREDENTIAL_READERS, open.clone(), Catalog::is_current),
            suspect_catalog: Pool::new(MAX_API_SUSPECT_READERS, open, Catalog::is_current),
            last_used: LastUsed::default(),
            setup: access.setup.as_ref().map(Setup::new),
        }
    }

    /// Counts a request without a valid credential.
    ///
    /// # Errors
    /// Too many such requests from this address.
    pub(crate) fn count_address(&self, peer: Peer) -> Result<(), Problem> {
        let rate = self.addresses.count(Network::of(peer.0.ip()), Instant::now());
        rate.check("requests without a valid credential from one address").map(drop)
    }

    /// Counts an invalid credential. Credentials are too long to be guessed; the limit bounds the load.
    ///
    /// # Errors
    /// Too many invalid credentials from this address.
    pub(super) fn count_failure(&self, peer: Peer) -> Result<(), Problem> {
        let rate = self.failures.count(Network::of(peer.0.ip()), Instant::now());
        rate.check("invalid credentials from one address").map(drop)
    }

    /// Returns the pool for looking up credentials from this address.
    pub(super) fn catalog(&self, peer: Peer) -> &Pool<Catalog> {
        let is_suspect = self.failures.is_exhausted(&Network::of(peer.0.ip()), Instant::now());
        if is_suspect { &self.suspect_catalog } else { &self.catalog }
    }

    /// Checks a request of `principal` to a route that requires `scope`.
    ///
    /// # Errors
    /// 429 beyond the rate limit, 403 without the scope.
    pub(super) fn admit(&self, principal: &Principal, scope: Scope) -> Result<RateLimit, Problem> {
        let rate = self.principals.count(principal.id.clone(), Instant::now());
        let rate = rate.check("requests with one credential")?;
        match principal.scopes {
            Some(scopes) if scopes.permit(scope) => Ok(rate),
            Some(_) => Err(forbidden(scope)),
            None => Err(Problem::new(StatusCode::FORBIDDEN, MUST_CHANGE)),
        }
    }
}

/// Returns the principal of a request.
///
/// # Errors
/// 401 without a valid credential, 429 after too many invalid credentials.
pub(super) async fn identify(state: &Shared, request: &Parts, peer: Peer) -> Result<Principal, Problem> {
    let catalog = state.gate.catalog(peer);
    let principal = match credential::read(&request.headers) {
        Credential::None => return Err(missing(is_decnets(request.uri.path()))),
        Credential::Unreadable => None,
        Credential::Token(token) => token_principal(state, catalog, &token).await?,
        Credential::Session(text) => session_principal(state, catalog, text).await?,
    };
    if principal.is_none() {
        state.gate.count_failure(peer)?;
    }
    principal.ok_or_else(invalid)
}

/// Looks up a token by its public id. The secret is compared in constant time, also if the id is unknown.
async fn token_principal(
    state: &Shared,
    catalog: &Pool<Catalog>,
    token: &ApiToken,
) -> Result<Option<Principal>, Problem> {
    let (id, now) = (token.id().to_owned(), now());
    let stored = catalog.run(move |catalog| catalog.token(&id)).await?;
    let digest = stored.as_ref().and_then(|stored| stored.digest);
    let is_match = digest.unwrap_or(TokenDigest::of(b"")).matches(&token.digest());
    let stored =
        stored.filter(|stored| is_match && digest.is_some() && stored.state(now) == TokenState::Active);
    let Some(stored) = stored else { return Ok(None) };
    if let Some(setup) = &state.gate.setup {
        setup.close();
    }
    let id = Arc::from(stored.id);
    last_used::record(state, &id, stored.last_used_at, now);
    let (id, name) = (PrincipalId::Token(id), stored.name.into());
    Ok(Some(Principal { id, name, scopes: Some(stored.scopes) }))
}

async fn session_principal(
    state: &Shared,
    catalog: &Pool<Catalog>,
    text: &str,
) -> Result<Option<Principal>, Problem> {
    let Some(key) = &state.gate.jwt else { return Ok(None) };
    let claims = match key.verify(text, now()) {
        Ok(claims) => claims,
        Err(why) => {
            tracing::debug!(%why, "rejected a session token");
            return Ok(None);
        }
    };
    let (user, id) = (claims.user.clone(), claims.id.clone());
    let session = catalog.run(move |catalog| catalog.session(&user, &id)).await?;
    let Ok(scopes) = scopes_of(&session, &claims) else { return Ok(None) };
    let id: Arc<str> = claims.user.into();
    let name = match session {
        Session::Valid(DecnetUser { username: Some(name), .. }) => name.into(),
        _ => Arc::clone(&id),
    };
    Ok(Some(Principal { id: PrincipalId::Session(id), name, scopes }))
}

/// Returns the scopes of a session with a valid signature, by DECNET's rules, or `None` if its user must change the password
/// first.
///
/// A catalog without users does not belong to DECNET and has no roles. A session then has a scope only if its token contains
/// the role `admin`, which DECNET's own tokens never do.
fn scopes_of(session: &Session, claims: &Claims) -> Result<Option<Scopes>, Invalid> {
    let role = match session {
        Session::UnknownUser | Session::Revoked => return Err(Invalid),
        Session::NoUsers => claims.role.as_deref().filter(|role| *role == ADMIN),
        Session::Valid(user) if user.valid_from.is_some_and(|from| claims.issued_at < from) => {
            return Err(Invalid);
        }
        Session::Valid(user) if user.must_change_password => return Ok(None),
        Session::Valid(user) => Some(&*user.role),
    };
    Ok(Some(match role {
        Some(ADMIN) => Scopes::new([Scope::Admin]),
        Some(VIEWER) => Scopes::new([Scope::Read]),
        _ => Scopes::default(),
    }))
}

fn missing(on_decnets: bool) -> Problem {
    let ours = "send a token: `Authorization: Bearer dcn_…`; `decnet token create` creates one";
    let detail = if on_decnets { NOT_VALID } else { ours };
    Problem::new(StatusCode::UNAUTHORIZED, detail).with(WWW_AUTHENTICATE, challenge(""))
}

fn invalid() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, NOT_VALID)
        .with(WWW_AUTHENTICATE, challenge(", error=\"invalid_token\""))
}

fn forbidden(scope: Scope) -> Problem {
    let what = format!(", error=\"insufficient_scope\", scope=\"{}\"", scope.as_str());
    Problem::new(StatusCode::FORBIDDEN, NOT_ALLOWED).with(WWW_AUTHENTICATE, challenge(&what))
}

/// Returns a challenge (RFC 6750 section 3). It has no error code if no credential was sent.
fn challenge(what: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer realm=\"decnet\"{what}")).expect("plain ASCII")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use decnet_store::catalog::Create;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer((Ipv4Addr::new(192, 0, 2, last), 1).into())
    }

    #[tokio::test]
    async fn suspect_address_delays_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decnet.db");
        let gate = Gate::new(Access::default(), move || Ok(Catalog::open(&path, Create::IfMissing)?));
        for _ in 0..MAX_AUTH_FAILURES {
            gate.count_failure(peer(1)).unwrap();
        }
        let (mut guesses, mut releases) = (Vec::new(), Vec::new());
        for _ in 0..=MAX_API_CREDENTIAL_READERS {
            let (release, held) = mpsc::channel::<()>();
            let guess = move |_: &mut Catalog| Ok::<_, Problem>(held.recv().is_err());
            let mut guess = Box::pin(gate.catalog(peer(1)).run(guess));
            assert!(futures_util::poll!(&mut guess).is_pending(), "it runs or waits");
            guesses.push(guess);
            releases.push(release);
        }
        let look = async |last| gate.catalog(peer(last)).run(|catalog| catalog.token("a")).await.is_ok();
        assert!(look(2).await, "another address is not delayed");
        drop(releases);
        for guess in guesses {
            assert!(guess.await.unwrap());
        }
        assert!(look(1).await);
    }

    fn claims(role: Option<&str>) -> Claims {
        Claims { user: "u".into(), id: "j".into(), issued_at: 100, role: role.map(Into::into) }
    }

    fn user(role: &str, valid_from: Option<i64>, must_change_password: bool) -> Session {
        Session::Valid(DecnetUser { username: None, role: role.into(), valid_from, must_change_password })
    }

    fn verdict(session: &Session, role: Option<&str>) -> String {
        match scopes_of(session, &claims(role)) {
            Ok(Some(scopes)) => scopes.to_string(),
            Ok(None) => "must change".into(),
            Err(_) => "invalid".into(),
        }
    }

    #[test]
    fn session_scopes_are_those_of_decnets_user() {
        for (session, role, expected) in [
            (user("admin", None, false), None, "admin"),
            (user("admin", Some(100), false), None, "admin"),
            (user("admin", Some(101), false), None, "invalid"),
            (user("admin", None, true), None, "must change"),
            (user("admin", Some(101), true), None, "invalid"),
            (user("viewer", None, false), None, "read"),
            // The role in the token is ignored if DECNET has users.
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
