//! API tokens. The catalog contains only digests, from which a token cannot be derived.

use decnet_core::access::{ApiToken, RANDOM_BYTES, Scope, Scopes, TokenDigest, check_token_name};
use decnet_core::limits::{MAX_API_TOKENS, MAX_NAME_CHARS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Serialize, Serializer};

use super::schema;
use crate::catalog::error::Error;
use crate::catalog::open::Catalog;
use crate::catalog::row::iso8601;
use crate::catalog::sql_value::SqlValue;

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
    #[serde(serialize_with = "list")]
    pub scopes: Scopes,
    /// The time at which the token was created.
    #[serde(serialize_with = "iso8601")]
    pub created_at: Option<UnixMicros>,
    /// The time at which the token expires.
    #[serde(serialize_with = "iso8601")]
    pub expires_at: Option<UnixMicros>,
    /// The time of the last use, to within [`TOKEN_USE_INTERVAL`].
    #[serde(serialize_with = "iso8601")]
    pub last_used_at: Option<UnixMicros>,
    /// The time at which the token was revoked.
    #[serde(serialize_with = "iso8601")]
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
        self.write_tokens(|transaction| {
            if is_taken(transaction, &new.name)? {
                return Ok(Err(Error::TokenNameTaken(new.name.clone())));
            }
            if !ensure_capacity(transaction)? {
                return Ok(Err(Error::TooManyTokens));
            }
            insert(transaction, &token, new, now)?;
            Ok(Ok(()))
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
        let all = || self.connection.prepare(&select)?.query_map([], read)?.collect::<Result<_, _>>();
        all().map_err(self.sqlite_error())
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
        let one = || self.connection.prepare_cached(&select)?.query_row([id], read).optional();
        one().map_err(self.sqlite_error())
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
        self.write_tokens(|transaction| {
            let revoke = "UPDATE decnet_api_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            transaction.execute(revoke, params![token.id, now.0])?;
            Ok(Ok(()))
        })?;
        Ok(StoredToken { revoked_at: Some(now), ..token })
    }

    /// Records the use of a token, unless a use within [`TOKEN_USE_INTERVAL`] is already recorded. Replaces a recorded time in
    /// the future, which a wrong clock has set.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn record_token_use(&mut self, id: &str, now: UnixMicros) -> Result<(), Error> {
        let before = now.before(TOKEN_USE_INTERVAL);
        self.write_tokens(|transaction| {
            let update = "UPDATE decnet_api_tokens SET last_used_at = ?2
                          WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3 OR last_used_at > ?2)";
            transaction.prepare_cached(update)?.execute(params![id, now.0, before.0])?;
            Ok(Ok(()))
        })
    }

    fn has_token_table(&self) -> Result<bool, Error> {
        schema::detect(&self.connection, self.path()).map_err(self.sqlite_error())?
    }

    fn write_tokens(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<(), Error>>,
    ) -> Result<(), Error> {
        let path = self.path().to_owned();
        self.transact(|transaction| match schema::detect(transaction, &path)? {
            Ok(true) => work(transaction),
            Ok(false) => {
                schema::create(transaction)?;
                work(transaction)
            }
            Err(newer) => Ok(Err(newer)),
        })
    }
}

fn is_taken(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<bool> {
    let taken = "SELECT 1 FROM decnet_api_tokens WHERE name = ?1 AND revoked_at IS NULL";
    Ok(transaction.query_row(taken, [name], |_| Ok(())).optional()?.is_some())
}

/// Returns whether there is space for another token. Deletes the token that was revoked first if necessary.
fn ensure_capacity(transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
    let count = "SELECT COUNT(*) FROM decnet_api_tokens";
    let count: i64 = transaction.query_row(count, [], |row| row.get(0))?;
    let remove = "DELETE FROM decnet_api_tokens WHERE id = (
                    SELECT id FROM decnet_api_tokens WHERE revoked_at IS NOT NULL ORDER BY revoked_at LIMIT 1)";
    let is_full = usize::try_from(count).is_ok_and(|count| count >= MAX_API_TOKENS);
    Ok(!is_full || transaction.execute(remove, [])? > 0)
}

fn insert(
    transaction: &Transaction<'_>,
    token: &ApiToken,
    new: &NewToken,
    now: UnixMicros,
) -> rusqlite::Result<()> {
    let insert = "INSERT INTO decnet_api_tokens (id, name, digest, scopes, created_at, expires_at)
                  VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let (digest, expires_at) = (token.digest(), new.expires_at.map(|at| at.0));
    let scopes = new.scopes.to_string();
    transaction
        .execute(insert, params![token.id(), new.name, digest.as_bytes(), scopes, now.0, expires_at])?;
    Ok(())
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn list<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(Scope::as_str))
}
