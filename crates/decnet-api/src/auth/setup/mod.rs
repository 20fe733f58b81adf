//! The link that creates the first token, printed by the first start of `decnet serve`.
//!
//! The code is in the link's fragment, which browsers do not send: it appears in no request line, log or `Referer`. The page's
//! script moves it from the address into the form at once. The code works only from this host, for [`SETUP_LINK_TTL`], and
//! creates one token if there is none. A client may disconnect before the response: until a token is used, the code returns the
//! same token again.

mod page;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HOST, HeaderMap};
use axum::response::Response;
use axum::routing::get;
use decnet_core::access::{ApiToken, Scope, Scopes, TokenDigest};
use decnet_core::limits::{MAX_SETUP_BODIES, SETUP_BODY_TIMEOUT, SETUP_LINK_TTL};
use decnet_core::redact::Secret;
use decnet_store::catalog::{Actor, Catalog, Error, NewToken, StoredToken, TokenState, generate_secret};
use tokio::sync::{Mutex, Semaphore};

use super::exposure::is_loopback;
use crate::problem::Problem;
use crate::server::Peer;
use crate::state::{Shared, now};

/// The maximum size of a body with a code, in bytes.
const MAX_CODE_BODY_BYTES: usize = 256;
/// The candidate names of the token; the first free name is used.
const NAMES: [&str; 4] = ["setup", "setup-2", "setup-3", "setup-4"];

/// The code of the setup link: 256 random bits.
#[derive(Debug, Clone)]
pub struct SetupCode(Secret);

impl SetupCode {
    /// Generates a code.
    #[must_use]
    pub fn generate() -> Self {
        Self(Secret::new(generate_secret()))
    }

    /// Returns the link, which only the operator may see.
    #[must_use]
    pub fn link(&self, address: SocketAddr) -> String {
        let is_any = address.ip().is_unspecified();
        let ip = if is_any { Ipv4Addr::LOCALHOST.into() } else { address.ip() };
        format!("http://{}/setup#{}", SocketAddr::new(ip, address.port()), self.0.expose())
    }
}

/// An open setup link, until it expires.
pub(crate) struct Setup {
    until: Instant,
    open_link: Mutex<Option<OpenLink>>,
    /// Limits the bodies that are read at the same time.
    reading: Semaphore,
}

/// The secrets of an open link.
struct OpenLink {
    code: TokenDigest,
    /// The token that the link created, if it is not yet used.
    created: Option<ApiToken>,
}

impl Setup {
    pub(super) fn new(code: &SetupCode) -> Self {
        let code = TokenDigest::of(code.0.expose().as_bytes());
        let open_link = Mutex::new(Some(OpenLink { code, created: None }));
        let (until, reading) = (Instant::now() + SETUP_LINK_TTL, Semaphore::new(MAX_SETUP_BODIES));
        Self { until, open_link, reading }
    }

    /// Reads a body that may contain a code. The sender is not authenticated, so the number of concurrent reads and
    /// their duration are limited.
    async fn read(&self, body: Body) -> Result<Bytes, Problem> {
        let permit = self.reading.try_acquire();
        let _permit =
            permit.map_err(|_| Problem::unavailable("too many requests to the setup link at once"))?;
        match tokio::time::timeout(SETUP_BODY_TIMEOUT, to_bytes(body, MAX_CODE_BODY_BYTES)).await {
            Ok(bytes) => bytes.map_err(|_| no_code()),
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "the code did not arrive in time")),
        }
    }

    /// Closes the link because a token was used.
    pub(super) fn close(&self) {
        // During a redemption the link remains open; the next use of a token closes it.
        if let Ok(mut open_link) = self.open_link.try_lock() {
            *open_link = None;
        }
    }

    /// Returns the open link.
    ///
    /// # Errors
    /// 404 if it is closed or has expired.
    fn unexpired<'a>(&self, open_link: &'a mut Option<OpenLink>) -> Result<&'a mut OpenLink, Problem> {
        if Instant::now() >= self.until {
            *open_link = None;
        }
        open_link.as_mut().ok_or_else(closed)
    }
}

impl OpenLink {
    fn accepts(&self, code: &str) -> bool {
        self.code.matches(&TokenDigest::of(code.as_bytes()))
    }
}

/// Adds the setup page and its endpoints. Used only if there is a link.
pub(crate) fn routes(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/setup", get(page::form()).post(make))
        .route("/setup.js", get(([(CONTENT_TYPE, "text/javascript; charset=utf-8")], page::SCRIPT)))
        .route("/setup.css", get(([(CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE)))
}

/// Exchanges the code for an admin token. The response to a form is a page, even on failure; the response to JSON is JSON.
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
    check_local(peer, headers)?;
    let setup = state.gate.setup.as_ref().ok_or_else(closed)?;
    let body = setup.read(body).await?;
    let code = page::code(&body, is_form).ok_or_else(no_code)?;
    // Runs in its own task: a created token is recorded even if the client disconnects.
    let redeemed = tokio::spawn(redeem(Arc::clone(&state), peer, code)).await;
    redeemed.unwrap_or_else(|error| Err(Problem::internal("the setup request was aborted", &error)))
}

/// Returns the token of the link. Creates it on the first call.
async fn redeem(state: Shared, peer: Peer, code: String) -> Result<ApiToken, Problem> {
    let setup = state.gate.setup.as_ref().ok_or_else(closed)?;
    let mut open_link = setup.open_link.lock().await;
    let link = setup.unexpired(&mut open_link)?;
    if !link.accepts(&code) {
        state.gate.count_failure(peer)?;
        let what = "the code is wrong; use the link as it was printed";
        return Err(Problem::new(StatusCode::FORBIDDEN, what));
    }
    let created = link.created.clone();
    let create = move |catalog: &mut Catalog| first_token(catalog, created);
    let Some(token) = state.change_access(&state.catalog, Actor::setup_link(), create).await? else {
        *open_link = None;
        return Err(closed());
    };
    tracing::info!(id = token.id(), "the setup link created an admin token");
    link.created = Some(token.clone());
    Ok(token)
}

/// Creates a token unless a usable token exists, which makes the link obsolete. A token that the link itself created is returned
/// again while it is unused.
fn first_token(catalog: &mut Catalog, created: Option<ApiToken>) -> Result<Option<ApiToken>, Error> {
    let now = now();
    if let Some(token) = created {
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
            created => return created.map(Some),
        }
    }
    Ok(None)
}

/// Checks that a request came from this host and to a name of it. Rejects DNS rebinding, where another name resolves here.
fn check_local(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if is_loopback(peer.0.ip()) && is_local_host(host) {
        return Ok(());
    }
    let detail = "the setup link works only on the host of the API; elsewhere use `decnet token create`";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn is_local_host(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(is_loopback)
}

fn no_code() -> Problem {
    Problem::malformed("the request contains no setup code")
}

fn closed() -> Problem {
    Problem::not_found(
        "the setup link was used, has expired or is no longer needed; create a token with `decnet token create`; if \
     the token of the link was lost, revoke it with `decnet token revoke setup`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn setup_code_works_until_a_token_is_used() {
        let code = SetupCode::generate();
        let setup = Setup::new(&code);
        let mut open_link = setup.open_link.lock().await;
        let link = setup.unexpired(&mut open_link).unwrap();
        assert!(!link.accepts("guess"));
        for _ in 0..2 {
            assert!(link.accepts(code.0.expose()) && link.created.is_none());
        }
        drop(open_link);
        setup.close();
        assert!(setup.unexpired(&mut *setup.open_link.lock().await).is_err());
    }

    #[tokio::test]
    async fn expired_setup_code_is_rejected() {
        let code = SetupCode::generate();
        let setup = Setup { until: Instant::now(), ..Setup::new(&code) };
        let mut open_link = setup.open_link.lock().await;
        assert!(setup.unexpired(&mut open_link).is_err() && open_link.is_none());
    }

    #[test]
    fn link_names_this_host_and_debug_hides_the_code() {
        let code = SetupCode::generate();
        let link = code.link("0.0.0.0:8000".parse().unwrap());
        assert!(link.starts_with("http://127.0.0.1:8000/setup#") && link.ends_with(code.0.expose()));
        assert!(code.link("[::1]:80".parse().unwrap()).starts_with("http://[::1]:80/setup#"));
        assert!(!format!("{code:?}").contains(code.0.expose()));
    }

    #[test]
    fn only_names_of_this_host_are_accepted() {
        for (host, is_local) in [
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
            assert_eq!(is_local_host(host), is_local, "{host}");
        }
    }
}
