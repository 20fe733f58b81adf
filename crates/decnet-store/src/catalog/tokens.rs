//! API tokens of the HTTP API, in a table that is created when it is first needed. The catalog contains only digests, from which
//! a token cannot be derived.

use std::path::Path;

use decnet_core::access::{ApiToken, Scopes, TokenDigest, check_token_name};
use decnet_core::limits::{MAX_API_TOKENS, MAX_NAME_CHARS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;

use super::audit::{AuditObject, FieldChange, Recorder};
use super::error::{Abort, Error};
use super::links;
use super::open::Catalog;
use super::schema::table_exists;
use super::schema_version::SchemaVersion;
use super::sql_value::SqlValue;
use crate::sql;

/// An older program can use a catalog with newer tokens, except for the tokens. It cannot use a catalog with a newer extension
/// table, which therefore has another version.
const VERSION: SchemaVersion =
    SchemaVersion { table: "decnet_api_tokens_schema", what: "API tokens", supported: 1 };

/// Names are unique only among tokens that are not revoked, so that a name can be reused.
const CREATE: &str = "
    CREATE TABLE IF NOT EXISTS decnet_api_tokens (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        digest BLOB NOT NULL,
        scopes TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER,
        last_used_at INTEGER,
        revoked_at INTEGER
    );
    CREATE UNIQUE INDEX IF NOT EXISTS ix_decnet_api_tokens_name
        ON decnet_api_tokens (name) WHERE revoked_at IS NULL;";

/// The values of a new token.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// The name, unique among the tokens that are not revoked.
    pub name: String,
    /// The permitted actions.
    pub scopes: Scopes,
    /// The time at which the token expires.
    pub expires_at: Option<UnixMicros>,
}

/// A token in the catalog. Serializes without the digest.
#[derive(Debug, Clone, Serialize)]
pub struct StoredToken {
    /// The id, which is the part of the token that is not secret.
    pub id: String,
    /// The name.
    pub name: String,
    /// The permitted actions; none if the row has an unknown scope or is a login link.
    pub scopes: Scopes,
    /// The time at which the token was created.
    pub created_at: Option<UnixMicros>,
    /// The time at which the token expires.
    pub expires_at: Option<UnixMicros>,
    /// The time of the last use, to within [`TOKEN_USE_INTERVAL`].
    pub last_used_at: Option<UnixMicros>,
    /// The time at which the token was revoked.
    pub revoked_at: Option<UnixMicros>,
    /// The permitted actions of the session that this one-time login link begins; `None` if it is a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_to: Option<Scopes>,
    /// The digest of the secret; `None` if the row is invalid.
    #[serde(skip)]
    pub digest: Option<TokenDigest>,
}

/// The state of a token at a given time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// The token can be used.
    Active,
    /// The token has expired.
    Expired,
    /// An operator revoked the token.
    Revoked,
}

impl StoredToken {
    /// Returns the state at the time `now`.
    #[must_use]
    pub fn state(&self, now: UnixMicros) -> TokenState {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => TokenState::Revoked,
            (None, Some(at)) if at <= now => TokenState::Expired,
            (None, _) => TokenState::Active,
        }
    }
}

const SELECT: &str = "SELECT id, name, scopes, created_at, expires_at, last_used_at, revoked_at, digest
                      FROM decnet_api_tokens";

impl Catalog {
    /// Creates a token. Only the result contains its secret.
    ///
    /// # Errors
    /// The name is taken or invalid, there are too many tokens, or the file cannot be written.
    pub fn create_token(&mut self, new: &NewToken, now: UnixMicros) -> Result<ApiToken, Error> {
        check_token_name(&new.name).map_err(Error::TokenName)?;
        let token = ApiToken::from_random(random());
        self.change_tokens(now, |conn, recorder| {
            insert(conn, &token, new, now)?;
            recorder.record("create", object(token.id(), &new.name), granted(new.scopes, new.expires_at))
        })?;
        Ok(token)
    }

    /// Returns all tokens, including revoked tokens, in the order of their creation.
    ///
    /// # Errors
    /// The file cannot be read, or a newer program wrote the table.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, Error> {
        if !self.has_token_table()? {
            return Ok(Vec::new());
        }
        let select = format!("{SELECT} ORDER BY created_at, id LIMIT {MAX_API_TOKENS}");
        sql::all(&self.connection, &select, [], read).map_err(self.sqlite_error())
    }

    /// Returns the token with this id, in any state.
    ///
    /// # Errors
    /// See [`Self::tokens`].
    pub fn token(&self, id: &str) -> Result<Option<StoredToken>, Error> {
        if !self.has_token_table()? {
            return Ok(None);
        }
        let select = format!("{SELECT} WHERE id = ?1");
        sql::first(&self.connection, &select, [id], read).map_err(self.sqlite_error())
    }

    /// Returns whether a token is active at the time `now`. An unused login link is not a token.
    ///
    /// # Errors
    /// See [`Self::tokens`].
    pub fn has_active_token(&self, now: UnixMicros) -> Result<bool, Error> {
        let is_active =
            |token: &StoredToken| token.link_to.is_none() && token.state(now) == TokenState::Active;
        Ok(self.tokens()?.iter().any(is_active))
    }

    /// Revokes the token with this id, or otherwise the active token with this name. Revocation is final.
    ///
    /// # Errors
    /// The token does not exist or is already revoked, or the file cannot be written.
    pub fn revoke_token(&mut self, name_or_id: &str, now: UnixMicros) -> Result<StoredToken, Error> {
        let found =
            self.tokens()?.into_iter().filter(|token| token.name == name_or_id || token.id == name_or_id);
        let found = found.min_by_key(|token| (token.id != name_or_id, token.revoked_at.is_some()));
        let token = match found {
            None => return Err(Error::NoToken(name_or_id.to_owned())),
            Some(token) if token.revoked_at.is_some() => {
                return Err(Error::TokenRevoked(name_or_id.to_owned()));
            }
            Some(token) => token,
        };
        let revoke = "UPDATE decnet_api_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        self.change_tokens(now, |conn, recorder| {
            if sql::execute(conn, revoke, params![token.id, now.0])? == 0 {
                return Err(Error::TokenRevoked(name_or_id.to_owned()).into());
            }
            recorder.record("revoke", object(&token.id, &token.name), Vec::new())
        })?;
        Ok(StoredToken { revoked_at: Some(now), ..token })
    }

    /// Records the use of a token, unless a use within [`TOKEN_USE_INTERVAL`] is already recorded. Replaces a recorded time in
    /// the future, which a wrong clock has set.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record_token_use(&mut self, id: &str, now: UnixMicros) -> Result<(), Error> {
        let values = params![id, now.0, now.before(TOKEN_USE_INTERVAL).0];
        let update = "UPDATE decnet_api_tokens SET last_used_at = ?2
                      WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3 OR last_used_at > ?2)";
        self.transact(|transaction, path| {
            ensure_table(transaction, path)?;
            Ok(sql::execute(transaction, update, values)?)
        })
        .map(drop)
    }

    fn has_token_table(&self) -> Result<bool, Error> {
        let path = self.path();
        has_table(&self.connection, path).map_err(|abort| abort.at(path))
    }

    /// Runs and records a change of tokens. Creates the table first if it does not exist.
    pub(super) fn change_tokens<T>(
        &mut self,
        now: UnixMicros,
        work: impl FnOnce(&Connection, &mut Recorder<'_>) -> Result<T, Abort>,
    ) -> Result<T, Error> {
        self.change(now, |transaction, path, recorder| {
            ensure_table(transaction, path)?;
            work(transaction, recorder)
        })
    }
}

/// Returns random bytes for a secret.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

/// Returns whether the file at `path` has the table in the supported version.
fn has_table(conn: &Connection, path: &Path) -> Result<bool, Abort> {
    let is_supported = VERSION.read(conn, path)? == Some(VERSION.supported);
    Ok(is_supported && table_exists(conn, "decnet_api_tokens")?)
}

/// Creates the table if it does not exist.
fn ensure_table(transaction: &Transaction<'_>, path: &Path) -> Result<(), Abort> {
    if !has_table(transaction, path)? {
        transaction.execute_batch(CREATE)?;
        VERSION.write(transaction)?;
    }
    Ok(())
}

/// Returns a token in the audit list.
pub(super) fn object(id: &str, name: &str) -> AuditObject {
    AuditObject { kind: "token".into(), id: id.into(), name: name.into() }
}

/// Returns what a token grants, for the audit list; the expiry to the second.
pub(super) fn granted(scopes: Scopes, expires_at: Option<UnixMicros>) -> Vec<FieldChange> {
    let to_seconds = |at: UnixMicros| UnixMicros(at.0 - at.0.rem_euclid(1_000_000)).to_iso8601();
    let expires = expires_at.map(|at| FieldChange::to("expires_at", to_seconds(at)));
    [FieldChange::to("scopes", scopes.to_string())].into_iter().chain(expires).collect()
}

/// Returns whether there is space for another token. Deletes the token that was revoked or has expired first if necessary.
fn ensure_capacity(conn: &Connection, now: UnixMicros) -> rusqlite::Result<bool> {
    let count: i64 = sql::value(conn, "SELECT COUNT(*) FROM decnet_api_tokens", [])?;
    let remove = "DELETE FROM decnet_api_tokens WHERE id = (
                    SELECT id FROM decnet_api_tokens WHERE revoked_at IS NOT NULL OR expires_at <= ?1
                    ORDER BY COALESCE(revoked_at, expires_at) LIMIT 1)";
    let is_full = usize::try_from(count).is_ok_and(|count| count >= MAX_API_TOKENS);
    Ok(!is_full || sql::execute(conn, remove, [now.0])? > 0)
}

/// Adds a token.
///
/// # Errors
/// The name is taken, there are too many tokens, or the file cannot be written.
fn insert(conn: &Connection, token: &ApiToken, new: &NewToken, now: UnixMicros) -> Result<(), Abort> {
    insert_row(conn, token, (&new.name, &new.scopes.to_string()), new.expires_at, now)
}

/// Adds a row with this text of scopes; see [`insert`].
pub(super) fn insert_row(
    conn: &Connection,
    token: &ApiToken,
    (name, scopes): (&str, &str),
    expires_at: Option<UnixMicros>,
    now: UnixMicros,
) -> Result<(), Abort> {
    let taken = "SELECT EXISTS (SELECT 1 FROM decnet_api_tokens WHERE name = ?1 AND revoked_at IS NULL)";
    if sql::value(conn, taken, [name])? {
        return Err(Error::TokenNameTaken(name.to_owned()).into());
    }
    if !ensure_capacity(conn, now)? {
        return Err(Error::TooManyTokens.into());
    }
    let insert = "INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (digest, expires_at) = (token.digest(), expires_at.map(|at| at.0));
    let values = params![token.id(), name, digest.as_bytes(), scopes, now.0, expires_at];
    sql::execute(conn, insert, values)?;
    Ok(())
}

/// Reads a row. An invalid value never widens access: invalid scopes count as none, an invalid digest as
/// absent, and an invalid expiry as expired.
fn read(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    let value = |index| row.get::<_, SqlValue>(index);
    let at = |index| value(index).map(|value| time(&value));
    let digest = row.get_ref(7)?.as_blob().ok().and_then(TokenDigest::from_bytes);
    let scopes = value(2)?;
    let scopes = scopes.text().unwrap_or_default();
    Ok(StoredToken {
        id: value(0)?.display(MAX_NAME_CHARS),
        name: value(1)?.display(MAX_NAME_CHARS),
        scopes: scopes.parse().unwrap_or_default(),
        link_to: links::scopes(scopes),
        created_at: at(3)?,
        expires_at: at(4)?,
        last_used_at: at(5)?,
        revoked_at: at(6)?,
        digest,
    })
}

/// Returns a time in microseconds since the epoch. An invalid value counts as the epoch, so that the token has expired.
fn time(value: &SqlValue) -> Option<UnixMicros> {
    match value {
        SqlValue::Null => None,
        SqlValue::Integer(micros) => Some(UnixMicros(*micros)),
        _ => Some(UnixMicros(0)),
    }
}
