//! Who may use the API, as it is configured here, and the way to the first token.

use std::io::{IsTerminal as _, stderr};
use std::net::SocketAddr;

use anyhow::Context as _;
use decnet_api::{Access, SetupCode, check_exposure};
use decnet_core::access::JwtKey;
use decnet_core::duration;
use decnet_core::limits::SETUP_LINK_AGE;
use decnet_store::catalog::{Catalog, Create, Error};

use crate::config::Config;
use crate::output;
use crate::receiver::now;

/// What happens where there is no credential yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// A link that makes the first token is printed.
    Link,
    /// The command that makes it is named.
    Hint,
}

/// Who may use an API at this address.
///
/// # Errors
/// Nobody yet, and an address that others can reach; a catalog that cannot be read.
pub(super) fn access(config: &Config, address: SocketAddr, first: First) -> anyhow::Result<Access> {
    let jwt = config.access.jwt_secret.as_ref().map(JwtKey::new).transpose();
    let jwt = jwt.context("DECNET_JWT_SECRET cannot be used")?;
    let has_credential = has_credential(config)?;
    check_exposure(address, has_credential)?;
    let setup = if has_credential { None } else { invite(config, address, first) };
    Ok(Access { jwt, setup, cors_origins: config.access.cors_origins.clone() })
}

/// Refuses an address that others can reach while nobody may use the API, before anything is started.
///
/// # Errors
/// As [`access`].
pub(crate) fn refuse_exposed(config: &Config, address: SocketAddr) -> anyhow::Result<()> {
    Ok(check_exposure(address, address.ip().is_loopback() || has_credential(config)?)?)
}

/// Can anybody use the API? A catalog that is not there yet has no token.
pub(crate) fn has_credential(config: &Config) -> anyhow::Result<bool> {
    if config.access.jwt_secret.is_some() {
        return Ok(true);
    }
    match Catalog::open(config.database.path()?, Create::Never) {
        Ok(catalog) => Ok(catalog.has_active_token(now())?),
        Err(Error::Missing { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Reports how to create the first token. The link is a secret for a quarter of an hour, so it goes to a terminal only, never
/// to a journal, a file or a pipe, which others may read.
fn invite(config: &Config, address: SocketAddr, first: First) -> Option<SetupCode> {
    if first == First::Hint || !stderr().is_terminal() {
        output::say(&format!(
            "the API has no token yet; make one with: decnet --data-dir {} token create --name admin --scope admin",
            config.data_dir.display()
        ));
        return None;
    }
    let code = SetupCode::generate();
    output::say(&format!(
        "the API has no token yet; within {} open this once, on this host, to make one for the admin:",
        duration::show(SETUP_LINK_AGE)
    ));
    output::say(&format!("  {}", code.link(address)));
    Some(code)
}
