//! Whose a credential is, and whether it covers what a route asks for.

use std::sync::Arc;
use std::time::Instant;

use axum::http::header::{HeaderValue, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use decnet_core::access::{ApiToken, Claims, JwtKey, Scope, Scopes, TokenDigest};
use decnet_core::limits::{
    API_RATE_WINDOW, FAILED_ACCESS_WINDOW, MAX_ADDRESS_REQUESTS, MAX_API_CREDENTIAL_READERS,
    MAX_API_SUSPECT_READERS, MAX_FAILED_ACCESS, MAX_TOKEN_REQUESTS,
};
use decnet_store::catalog::{Catalog, DecnetUser, Session, TokenState};

use super::counts::{Counts, Network, Standing};
use super::credential::{self, Credential};
use super::setup::Setup;
use super::uses::{self, Uses};
use super::{Access, Principal, PrincipalId};
use crate::pool::Pool;
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
    principals: Counts<PrincipalId>,
    /// The catalog, for looking credentials up: whoever waits for a long list holds nobody else up.
    catalog: Pool<Catalog>,
    /// The same for addresses that have shown too many wrong ones: they wait for each other and for nobody else.
    of_suspects: Pool<Catalog>,
    pub(super) uses: Uses,
    pub(crate) setup: Option<Setup>,
}

/// Why a request goes no further.
enum Denied {
    /// It shows nothing.
    Missing,
    /// What it shows counts for nothing.
    Invalid,
    /// It could not be judged.
    Unjudged(Problem),
}

impl From<Problem> for Denied {
    fn from(problem: Problem) -> Self {
        Self::Unjudged(problem)
    }
}

impl Gate {
    /// `open` opens the catalog.
    pub(crate) fn new(
        access: Access,
        open: impl Fn() -> Result<Catalog, Problem> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self {
            jwt: access.jwt,
            addresses: Counts::new(MAX_ADDRESS_REQUESTS, API_RATE_WINDOW),
            failures: Counts::new(MAX_FAILED_ACCESS, FAILED_ACCESS_WINDOW),
            principals: Counts::new(MAX_TOKEN_REQUESTS, API_RATE_WINDOW),
            catalog: Pool::new(MAX_API_CREDENTIAL_READERS, open.clone(), Catalog::is_current),
            of_suspects: Pool::new(MAX_API_SUSPECT_READERS, open, Catalog::is_current),
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

    /// Where credentials from this address are looked up.
    fn catalog(&self, peer: Peer) -> &Pool<Catalog> {
        let is_suspect = self.failures.is_used_up(&Network::of(peer.0.ip()), Instant::now());
        if is_suspect { &self.of_suspects } else { &self.catalog }
    }

    /// Judges a request of theirs to a route that asks for `scope`.
    ///
    /// # Errors
    /// 429 when it is too much, 403 without the scope.
    pub(super) fn admit(&self, principal: &Principal, scope: Scope) -> Result<Standing, Problem> {
        let standing = self.principals.count(principal.id.clone(), Instant::now());
        let standing = standing.check("requests with one credential")?;
        match principal.scopes {
            Some(scopes) if scopes.cover(scope) => Ok(standing),
            Some(_) => Err(forbidden(scope)),
            None => Err(Problem::new(Kind::Forbidden, MUST_CHANGE)),
        }
    }
}

/// Whose request it is.
///
/// # Errors
/// 401 without a credential that counts, 429 for too many wrong ones.
pub(super) async fn identify(state: &Shared, request: &Parts, peer: Peer) -> Result<Principal, Problem> {
    let catalog = state.gate.catalog(peer);
    match judge(state, catalog, credential::read(&request.headers)).await {
        Ok(principal) => Ok(principal),
        Err(Denied::Missing) => Err(missing(is_decnets(request.uri.path()))),
        Err(Denied::Invalid) => {
            state.gate.count_failure(peer)?;
            Err(invalid())
        }
        Err(Denied::Unjudged(problem)) => Err(problem),
    }
}

async fn judge(
    state: &Shared,
    catalog: &Pool<Catalog>,
    credential: Credential<'_>,
) -> Result<Principal, Denied> {
    match credential {
        Credential::None => Err(Denied::Missing),
        Credential::Unreadable => Err(Denied::Invalid),
        Credential::Token(token) => of_token(state, catalog, &token).await,
        Credential::Session(text) => {
            let key = state.gate.jwt.as_ref().ok_or(Denied::Invalid)?;
            let claims = key.verify(text, now()).map_err(|why| {
                tracing::debug!(%why, "a session was refused");
                Denied::Invalid
            })?;
            of_session(catalog, claims).await
        }
    }
}

/// The look-up is by the id, which is public; the secret is compared in constant time, and compared where there is
/// no such token too.
async fn of_token(state: &Shared, catalog: &Pool<Catalog>, token: &ApiToken) -> Result<Principal, Denied> {
    let (id, now) = (token.id().to_owned(), now());
    let stored = catalog.run(move |catalog| catalog.token(&id)).await?;
    let kept = stored.as_ref().and_then(|stored| stored.digest);
    let is_it = kept.unwrap_or(TokenDigest::of(b"")).matches(&token.digest());
    let stored = stored.filter(|stored| is_it && kept.is_some() && stored.state(now) == TokenState::Active);
    let stored = stored.ok_or(Denied::Invalid)?;
    if let Some(setup) = &state.gate.setup {
        setup.close();
    }
    let id = Arc::from(stored.id);
    uses::note(state, &id, stored.last_used_at, now);
    let (id, name) = (PrincipalId::Token(id), stored.name.into());
    Ok(Principal { id, name, scopes: Some(stored.scopes) })
}

async fn of_session(catalog: &Pool<Catalog>, claims: Claims) -> Result<Principal, Denied> {
    let (user, id) = (claims.user.clone(), claims.id.clone());
    let session = catalog.run(move |catalog| catalog.session(&user, &id)).await?;
    let scopes = scopes_of(&session, &claims)?;
    let id: Arc<str> = claims.user.into();
    let name = match session {
        Session::Of(DecnetUser { username: Some(name), .. }) => name.into(),
        _ => Arc::clone(&id),
    };
    Ok(Principal { id: PrincipalId::Session(id), name, scopes })
}

/// What a session whose signature is good may do, by DECNET's rules; none where its user must choose a password first.
///
/// A catalog without users is not DECNET's: there is no role to look up, and only a session that itself says `admin`,
/// as DECNET's own do not, may do anything.
fn scopes_of(session: &Session, claims: &Claims) -> Result<Option<Scopes>, Denied> {
    let scopes = match session {
        Session::UnknownUser | Session::Revoked => return Err(Denied::Invalid),
        Session::NoUsers => match claims.role.as_deref() {
            Some(ADMIN) => Scopes::new([Scope::Admin]),
            _ => Scopes::default(),
        },
        Session::Of(DecnetUser { valid_from: Some(from), .. }) if claims.issued_at < *from => {
            return Err(Denied::Invalid);
        }
        Session::Of(DecnetUser { must_change_password: true, .. }) => return Ok(None),
        Session::Of(user) => match user.role.as_str() {
            ADMIN => Scopes::new([Scope::Admin]),
            VIEWER => Scopes::new([Scope::Read]),
            _ => Scopes::default(),
        },
    };
    Ok(Some(scopes))
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
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use decnet_store::catalog::Create;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer((Ipv4Addr::new(192, 0, 2, last), 1).into())
    }

    #[tokio::test]
    async fn who_guesses_waits_with_those_of_their_address_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("decnet.db");
        let gate = Gate::new(Access::default(), move || Ok(Catalog::open(&path, Create::IfMissing)?));
        for _ in 0..MAX_FAILED_ACCESS {
            gate.count_failure(peer(1)).unwrap();
        }
        let (mut guesses, mut releases) = (Vec::new(), Vec::new());
        for _ in 0..=MAX_API_CREDENTIAL_READERS {
            let (release, held) = mpsc::channel::<()>();
            let guess = move |_: &mut Catalog| Ok::<_, Problem>(held.recv().is_err());
            let mut guess = Box::pin(gate.catalog(peer(1)).run(guess));
            assert!(futures_util::poll!(&mut guess).is_pending(), "it has its turn, or waits for it");
            guesses.push(guess);
            releases.push(release);
        }
        let look = async |last| gate.catalog(peer(last)).run(|catalog| catalog.token("a")).await.is_ok();
        assert!(look(2).await, "of another address");
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
        Session::Of(DecnetUser { username: None, role: role.into(), valid_from, must_change_password })
    }

    fn verdict(session: &Session, role: Option<&str>) -> String {
        match scopes_of(session, &claims(role)) {
            Ok(Some(scopes)) => scopes.to_string(),
            Ok(None) => "must change".into(),
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
