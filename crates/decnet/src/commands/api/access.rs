//! Access to the API as configured, and the creation of the first token.

use std::io::{IsTerminal as _, stderr};
use std::net::SocketAddr;

use anyhow::Context as _;
use decnet_api::{Access, SetupCode, check_exposure};
use decnet_core::access::{JwtKey, Scope, Scopes};
use decnet_core::duration;
use decnet_core::limits::{LOGIN_LINK_TTL, SETUP_LINK_TTL};

use crate::commands::token::link;
use crate::config::Config;
use crate::output;
use crate::receiver::now;
use crate::store::{open_or_create, read_if_exists};

/// The help for the operator while no credential exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstToken {
    /// A one-time link that logs in to the dashboard of the demo.
    Login,
    /// A link that creates the first token.
    Link,
    /// The command that creates the first token.
    Hint,
}

/// Returns the access rules of an API at this address.
///
/// # Errors
/// The catalog cannot be read.
pub(super) fn access(config: &Config, address: SocketAddr, first: FirstToken) -> anyhow::Result<Access> {
    let jwt = config.access.jwt_secret.as_ref().map(JwtKey::new).transpose();
    let jwt = jwt.context("DECNET_JWT_SECRET is not usable")?;
    let setup = match first {
        _ if has_credential(config)? => None,
        FirstToken::Login if stderr().is_terminal() => announce_login(config, address).map(|()| None)?,
        _ => announce_setup(config, address, first),
    };
    let (cors_origins, dashboard_origins) =
        (config.access.cors_origins.clone(), config.api.dashboard_origins.clone());
    Ok(Access { jwt, setup, cors_origins, dashboard_origins })
}

/// Rejects an address that other hosts can reach while no credential exists, before anything is started.
///
/// # Errors
/// No credential exists and other hosts can reach the address, or the catalog cannot be read.
pub(super) fn refuse_exposed(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    Ok(check_exposure(address, address.ip().is_loopback() || has_credential(config)?)?)
}

/// Returns whether a credential for the API exists. A missing catalog has no token.
pub(crate) fn has_credential(config: &Config) -> anyhow::Result<bool> {
    if config.access.jwt_secret.is_some() {
        return Ok(true);
    }
    Ok(read_if_exists(config, |catalog| catalog.has_active_token(now()))?.unwrap_or(false))
}

/// Reports a one-time link that logs in to the dashboard as an admin, if there is a terminal: see [`announce_setup`].
fn announce_login(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    let code = open_or_create(config)?.create_link(Scopes::new([Scope::Admin]), now())?;
    output::note(&format!(
        "to log in to the dashboard, open this link within {}; it works once:",
        duration::show(LOGIN_LINK_TTL)
    ));
    output::note(&format!("  {}", link::address(&link::origin(address), &code.expose_as_link_code())));
    Ok(())
}

/// Reports how to create the first token. The link is secret while it is valid, so it is printed only to a terminal, never
/// to a journal, a file or a pipe, which others may read.
fn announce_setup(config: &Config, address: SocketAddr, first: FirstToken) -> Option<SetupCode> {
    if first != FirstToken::Link || !stderr().is_terminal() {
        output::note(&format!(
            "the API has no token yet; create one with: decnet --data-dir {} token create --name admin --scope admin",
            config.data_dir.display()
        ));
        return None;
    }
    let code = SetupCode::generate();
    output::note(&format!(
        "the API has no token yet; to create one for the admin, open this link on this host within {}:",
        duration::show(SETUP_LINK_TTL)
    ));
    output::note(&format!("  {}", code.link(address)));
    Some(code)
}
