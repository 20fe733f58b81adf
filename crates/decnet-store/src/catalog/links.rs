//! One-time links to log in to the dashboard.
//!
//! A link is a row in the table of API tokens that grants nothing yet. Whoever redeems its code gets a token with the same id, a
//! new secret, the scopes of the link and a short lifetime. Links are therefore listed and revoked like tokens, and the catalog has
//! only digests of both secrets. An older program reads the scopes of an unused link as none.

use decnet_core::access::{ApiToken, Scopes, TokenDigest};
use decnet_core::limits::{DASHBOARD_SESSION_TTL, LOGIN_LINK_TTL};
use decnet_core::time::UnixMicros;
use rusqlite::params;

use super::audit::AuditObject;
use super::error::Error;
use super::open::Catalog;
use super::tokens::{TokenState, granted, insert_row, object, random};
use crate::sql;

/// The text before the scopes of an unused link.
const UNUSED: &str = "link:";
/// The number of characters of the id in the name of a link.
const NAME_ID_CHARS: usize = 8;

/// Returns the scopes of an unused link, given the text of the column; `None` if it is not a link.
pub(super) fn scopes(text: &str) -> Option<Scopes> {
    text.strip_prefix(UNUSED)?.parse().ok()
}

impl Catalog {
    /// Creates a link that is valid for [`LOGIN_LINK_TTL`] and begins a session with these scopes. Only the result contains its code.
    ///
    /// # Errors
    /// There are too many tokens, or the file cannot be written.
    pub fn create_link(&mut self, scopes: Scopes, now: UnixMicros) -> Result<ApiToken, Error> {
        let link = ApiToken::from_random(random());
        let (name, expires_at) = (name(link.id()), Some(now.after(LOGIN_LINK_TTL)));
        self.change_tokens(now, |conn, recorder| {
            insert_row(conn, &link, (&name, &format!("{UNUSED}{scopes}")), expires_at, now)?;
            let object = AuditObject { kind: "link".into(), ..object(link.id(), &name) };
            recorder.record("create", object, granted(scopes, expires_at))
        })?;
        Ok(link)
    }

    /// Replaces an unused link by a token for one session, which expires after [`DASHBOARD_SESSION_TTL`]. The code of the link is
    /// worthless from then on. Returns `None` if the code is wrong, used, expired or revoked. The actor is
    /// [`Actor::login_link`](super::Actor::login_link).
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn redeem_link(&mut self, code: &ApiToken, now: UnixMicros) -> Result<Option<ApiToken>, Error> {
        let stored = self.token(code.id())?;
        let digest = stored.as_ref().and_then(|stored| stored.digest);
        // Also compared if the id does not exist, so that the time does not reveal whether it does.
        let is_match = digest.unwrap_or(TokenDigest::of(b"")).matches(&code.digest());
        let stored =
            stored.filter(|link| is_match && digest.is_some() && link.state(now) == TokenState::Active);
        let Some((name, scopes)) = stored.and_then(|link| Some((link.name, link.link_to?))) else {
            return Ok(None);
        };
        let (token, expires_at) = (code.with_secret(random()), now.after(DASHBOARD_SESSION_TTL));
        // The digest is compared again: of several simultaneous attempts, one succeeds.
        let redeem = "UPDATE decnet_api_tokens SET digest = ?3, scopes = ?4, expires_at = ?5
                      WHERE id = ?1 AND digest = ?2 AND revoked_at IS NULL";
        let redeemed = self.change_tokens(now, |conn, recorder| {
            let (old, new) = (code.digest(), token.digest());
            let values = params![code.id(), old.as_bytes(), new.as_bytes(), scopes.to_string(), expires_at.0];
            if sql::execute(conn, redeem, values)? == 0 {
                return Ok(false);
            }
            recorder.record("log_in", object(code.id(), &name), granted(scopes, Some(expires_at)))?;
            Ok(true)
        })?;
        Ok(redeemed.then_some(token))
    }
}

/// Returns the name of a link.
pub(super) fn name(id: &str) -> String {
    format!("link-{}", id.get(..NAME_ID_CHARS).unwrap_or(id))
}
