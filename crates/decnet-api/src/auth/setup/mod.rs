//! The link that makes the first token, printed by the first start of `decnet serve`.
//!
//! The code is in the link's fragment, which a browser sends to nobody: it is in no request line, no log and no
//! `Referer`. The page's script takes it out of the address at once and into the form. It works from this host
//! alone, for [`SETUP_LINK_AGE`], and makes one token, where there is none. Whoever asked may have gone before the answer
//! came: until a token is used, the code shows the one that it made again.

mod page;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap};
use axum::response::Response;
use axum::routing::get;
use decnet_core::access::{ApiToken, Scope, Scopes, TokenDigest};
use decnet_core::limits::{MAX_SETUP_BODIES, SETUP_BODY_TIMEOUT, SETUP_LINK_AGE};
use decnet_core::redact::Secret;
use decnet_store::catalog::{Catalog, Error, NewToken, StoredToken, TokenState, generate_secret};
use tokio::sync::{Mutex, Semaphore};

use super::exposure::is_loopback;
use crate::problem::{Kind, Problem};
use crate::server::Peer;
use crate::state::{Shared, now};

/// Bytes of a body that holds a code; more cannot be one.
const MAX_CODE_BODY_BYTES: usize = 256;
/// Names that are tried for the token: the first that is free is taken.
const NAMES: [&str; 4] = ["setup", "setup-2", "setup-3", "setup-4"];

/// What the link carries: 256 random bits.
#[derive(Clone)]
pub struct SetupCode(Secret);

impl SetupCode {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::new(generate_secret()))
    }

    /// The link, to be shown to the operator and to nobody else.
    #[must_use]
    pub fn link(&self, address: std::net::SocketAddr) -> String {
        let host = match address.ip() {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        format!("http://{host}:{}/setup#{}", address.port(), self.0.expose())
    }
}

impl fmt::Debug for SetupCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[code]")
    }
}

/// A code in force, until it is over.
pub(crate) struct Setup {
    until: Instant,
    kept: Mutex<Option<Kept>>,
    /// Bodies that are waited for.
    reading: Semaphore,
}

/// What is kept of it.
struct Kept {
    code: TokenDigest,
    /// The token that it made, which nobody has used yet.
    made: Option<ApiToken>,
}

impl Setup {
    pub(super) fn new(code: &SetupCode) -> Self {
        let code = TokenDigest::of(code.0.expose().as_bytes());
        let (until, kept) = (Instant::now() + SETUP_LINK_AGE, Mutex::new(Some(Kept { code, made: None })));
        Self { until, kept, reading: Semaphore::new(MAX_SETUP_BODIES) }
    }

    /// A body that may hold a code. Whoever sends it has not shown yet who they are: they take few places, and not for long.
    async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let turn = self.reading.try_acquire();
        let _turn = turn.map_err(|_| Problem::unavailable("others are at the setup link just now"))?;
        match tokio::time::timeout(SETUP_BODY_TIMEOUT, to_bytes(body, MAX_CODE_BODY_BYTES)).await {
            Ok(bytes) => bytes.map_err(|_| no_code()),
            Err(_) => Err(Problem::new(Kind::Timeout, "the code took too long to come")),
        }
    }

    /// A token was used: there is somebody who has one.
    pub(super) fn close(&self) {
        // Where a redemption is under way, the next use closes it.
        if let Ok(mut kept) = self.kept.try_lock() {
            *kept = None;
        }
    }

    /// The token that this code made before, if it did.
    fn check(&self, kept: &mut Option<Kept>, code: &str) -> Result<Option<ApiToken>, Refused> {
        if Instant::now() >= self.until {
            *kept = None;
        }
        let kept = kept.as_ref().ok_or(Refused::Over)?;
        if !kept.code.matches(&TokenDigest::of(code.as_bytes())) {
            return Err(Refused::Wrong);
        }
        Ok(kept.made.clone())
    }
}

/// Why a code gets nothing.
enum Refused {
    Wrong,
    Over,
    Problem(Problem),
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The page and what it sends; only where there is a link at all.
pub(crate) fn routes(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/setup", get(page::form).post(make))
        .route("/setup.js", get(page::script))
        .route("/setup.css", get(page::style))
}

/// Exchanges the code for an admin token: a form for a page, also where nothing comes of it, and JSON for JSON.
async fn make(
    State(state): State<Shared>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let is_form = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(page::FORM));
    match exchange(state, peer, &headers, body, is_form).await {
        Ok(token) => Ok(page::done(&token, is_form)),
        Err(problem) if is_form => Ok(page::refused(&problem)),
        Err(problem) => Err(problem),
    }
}

async fn exchange(
    state: Shared,
    peer: Peer,
    headers: &HeaderMap,
    body: Body,
    is_form: bool,
) -> Result<ApiToken, Problem> {
    check_from_here(peer, headers)?;
    let setup = state.gate.setup.as_ref().ok_or_else(over)?;
    let body = setup.read(body).await?;
    let code = page::code(&body, is_form).ok_or_else(no_code)?;
    // On a task of its own: whoever asked may go, and what was made is remembered all the same.
    let redeemed = tokio::spawn(redeem(Arc::clone(&state), code)).await;
    match redeemed.map_err(|error| Problem::internal("the setup link broke off", &error))? {
        Ok(token) => Ok(token),
        Err(Refused::Over) => Err(over()),
        Err(Refused::Wrong) => {
            state.gate.count_failure(peer)?;
            Err(Problem::new(Kind::Forbidden, "this is not the code of the link"))
        }
        Err(Refused::Problem(problem)) => Err(problem),
    }
}

/// The token of the link: made now, or before and used by nobody yet.
async fn redeem(state: Shared, code: String) -> Result<ApiToken, Refused> {
    let setup = state.gate.setup.as_ref().ok_or(Refused::Over)?;
    let mut kept = setup.kept.lock().await;
    let made = setup.check(&mut kept, &code)?;
    let token = state.catalog.run(move |catalog| first_token(catalog, made)).await?;
    let (Some(token), Some(keeping)) = (token, &mut *kept) else {
        *kept = None;
        return Err(Refused::Over);
    };
    tracing::info!(id = token.id(), "the setup link made an admin token");
    keeping.made = Some(token.clone());
    Ok(token)
}

/// Makes a token, unless there is one that can be used: then the link has had its day. The one that it made itself can be
/// shown again as long as nobody has used it.
fn first_token(catalog: &mut Catalog, made: Option<ApiToken>) -> Result<Option<ApiToken>, Error> {
    let now = now();
    if let Some(token) = made {
        let stored = catalog.token(token.id())?;
        let is_unused =
            |stored: StoredToken| stored.last_used_at.is_none() && stored.state(now) == TokenState::Active;
        return Ok(stored.is_some_and(is_unused).then_some(token));
    }
    if catalog.has_active_token(now)? {
        return Ok(None);
    }
    for name in NAMES {
        let new = NewToken { name: name.into(), scopes: Scopes::new([Scope::Admin]), expires_at: None };
        match catalog.create_token(&new, now) {
            Err(Error::TokenNameTaken(_)) => {}
            made => return made.map(Some),
        }
    }
    Ok(None)
}

/// From this host, and by a name of this host: a page of another name that resolves to here (DNS rebinding) is not.
fn check_from_here(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback(peer.0.ip()) && names_here(host) {
        return Ok(());
    }
    let told = "the setup link works on its own host only; elsewhere use `decnet token create`";
    Err(Problem::new(Kind::Forbidden, told))
}

fn names_here(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback)
}

fn no_code() -> Problem {
    Problem::malformed("there is no code in this")
}

fn over() -> Problem {
    Problem::not_found(
        "the setup link was used, has expired or is no longer needed; make a token with `decnet token create`, and \
         take back one that nobody has seen with `decnet token revoke setup`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_code_works_until_a_token_is_used_and_a_wrong_one_uses_nothing_up() {
        let code = SetupCode::generate();
        let setup = Setup::new(&code);
        let mut kept = setup.kept.lock().await;
        assert!(matches!(setup.check(&mut kept, "guess"), Err(Refused::Wrong)));
        for _ in 0..2 {
            assert!(matches!(setup.check(&mut kept, code.0.expose()), Ok(None)));
        }
        drop(kept);
        setup.close();
        assert!(matches!(setup.check(&mut *setup.kept.lock().await, code.0.expose()), Err(Refused::Over)));
    }

    #[tokio::test]
    async fn a_code_that_is_too_old_is_over() {
        let code = SetupCode::generate();
        let setup = Setup { until: Instant::now(), ..Setup::new(&code) };
        let mut kept = setup.kept.lock().await;
        assert!(matches!(setup.check(&mut kept, code.0.expose()), Err(Refused::Over)) && kept.is_none());
    }

    #[test]
    fn the_link_names_this_host_and_debug_hides_the_code() {
        let code = SetupCode::generate();
        let link = code.link("0.0.0.0:8000".parse().unwrap());
        assert!(link.starts_with("http://127.0.0.1:8000/setup#") && link.ends_with(code.0.expose()));
        assert!(code.link("[::1]:80".parse().unwrap()).starts_with("http://[::1]:80/setup#"));
        assert!(!format!("{code:?}").contains(code.0.expose()));
    }

    #[test]
    fn only_names_of_this_host_are_taken() {
        for (host, is_here) in [
            ("127.0.0.1:8000", true),
            ("localhost", true),
            ("LOCALHOST:1", true),
            ("[::1]:8000", true),
            ("[::1]", true),
            ("evil.example:8000", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("192.0.2.1", false),
            ("", false),
        ] {
            assert_eq!(names_here(host), is_here, "{host}");
        }
    }
}
