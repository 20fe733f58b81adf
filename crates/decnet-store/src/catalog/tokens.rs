//! API tokens of the HTTP API, in a table that is created when it is first needed. The catalog contains only digests, from which
//! a token cannot be derived.

use std::path::Path;

use decnet_core::access::{ApiToken, RANDOM_BYTES, Scopes, TokenDigest, check_token_name};
use decnet_core::limits::{MAX_API_TOKENS, MAX_NAME_CHARS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use super::error::{Abort, Error};
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
    /// The permitted actions; none if the row has an unknown scope.
    pub scopes: Scopes,
    /// The time at which the token was created.
    pub created_at: Option<UnixMicros>,
    /// The time at which the token expires.
    pub expires_at: Option<UnixMicros>,
    /// The time of the last use, to within [`TOKEN_USE_INTERVAL`].
    pub last_used_at: Option<UnixMicros>,
    /// The time at which the token was revoked.
    pub revoked_at: Option<UnixMicros>,
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
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        let token = ApiToken::from_random(bytes);
        self.write_tokens(|conn| {
            let taken =
                "SELECT EXISTS (SELECT 1 FROM decnet_api_tokens WHERE name = ?1 AND revoked_at IS NULL)";
            if sql::value(conn, taken, [&new.name])? {
                return Err(Error::TokenNameTaken(new.name.clone()).into());
            }
            if !ensure_capacity(conn)? {
                return Err(Error::TooManyTokens.into());
            }
            Ok(insert(conn, &token, new, now)?)
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

    /// Returns whether a token is active at the time `now`.
    ///
    /// # Errors
    /// See [`Self::tokens`].
    pub fn has_active_token(&self, now: UnixMicros) -> Result<bool, Error> {
        Ok(self.tokens()?.iter().any(|token| token.state(now) == TokenState::Active))
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
        self.write_tokens(|conn| Ok(sql::execute(conn, revoke, params![token.id, now.0])?))?;
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
        self.write_tokens(|conn| Ok(sql::execute(conn, update, values)?)).map(drop)
    }

    fn has_token_table(&self) -> Result<bool, Error> {
        let path = self.path();
        has_table(&self.connection, path).map_err(|abort| abort.at(path))
    }

    /// Runs a write transaction. Creates the table first if it does not exist.
    fn write_tokens<T>(&mut self, work: impl FnOnce(&Connection) -> Result<T, Abort>) -> Result<T, Error> {
        self.transact(|transaction, path| {
            if !has_table(transaction, path)? {
                transaction.execute_batch(CREATE)?;
                VERSION.write(transaction)?;
            }
            work(transaction)
        })
    }
}

/// Returns whether the file at `path` has the table in the supported version.
fn has_table(conn: &Connection, path: &Path) -> Result<bool, Abort> {
    let is_supported = VERSION.read(conn, path)? == Some(VERSION.supported);
    Ok(is_supported && table_exists(conn, "decnet_api_tokens")?)
}

/// Returns whether there is space for another token. Deletes the token that was revoked first if necessary.
fn ensure_capacity(conn: &Connection) -> rusqlite::Result<bool> {
    let count: i64 = sql::value(conn, "SELECT COUNT(*) FROM decnet_api_tokens", [])?;
    let remove = "DELETE FROM decnet_api_tokens WHERE id = (
                    SELECT id FROM decnet_api_tokens WHERE revoked_at IS NOT NULL ORDER BY revoked_at LIMIT 1)";
    let is_full = usize::try_from(count).is_ok_and(|count| count >= MAX_API_TOKENS);
    Ok(!is_full || sql::execute(conn, remove, [])? > 0)
}

fn insert(conn: &Connection, token: &ApiToken, new: &NewToken, now: UnixMicros) -> rusqlite::Result<()> {
    let insert = "INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (digest, expires_at) = (token.digest(), new.expires_at.map(|at| at.0));
    let scopes = new.scopes.to_string();
    let values = params![token.id(), new.name, digest.as_bytes(), scopes, now.0, expires_at];
    sql::execute(conn, insert, values).map(drop)
}

/// Reads a row. An invalid value never widens access: invalid scopes count as none, an invalid digest as
/// absent, and an invalid expiry as expired.
fn read(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    let value = |index| row.get::<_, SqlValue>(index);
    let at = |index| value(index).map(|value| time(&value));
    let digest = row.get_ref(7)?.as_blob().ok().and_then(TokenDigest::from_bytes);
    Ok(StoredToken {
        id: value(0)?.display(MAX_NAME_CHARS),
        name: value(1)?.display(MAX_NAME_CHARS),
        scopes: value(2)?.text().ok().and_then(|text| text.parse().ok()).unwrap_or_default(),
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
