//! Our own tokens. Only the digest of a secret is kept, so that who reads the catalog has no token.

use decnet_core::access::{ApiToken, RANDOM_BYTES, Scope, Scopes, TokenDigest, check_token_name};
use decnet_core::limits::{MAX_API_TOKENS, MAX_NAME_CHARS, TOKEN_USE_INTERVAL};
use decnet_core::time::UnixMicros;
use rusqlite::{OptionalExtension as _, Row, Transaction, params};
use serde::{Serialize, Serializer};

use super::schema::{self, KNOWN_VERSION, Table};
use crate::catalog::cell::Cell;
use crate::catalog::error::Error;
use crate::catalog::open::Catalog;

/// What a new token needs.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Unique among the tokens that are not revoked.
    pub name: String,
    /// What it may be used for.
    pub scopes: Scopes,
    /// When it stops by itself, if it does.
    pub expires_at: Option<UnixMicros>,
}

/// A token as it is kept. Serialises to what may be shown of it.
#[derive(Debug, Clone, Serialize)]
pub struct StoredToken {
    /// By what it is found; the part of the token that is not secret.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may be used for; nothing, where the row says something that we do not know.
    #[serde(serialize_with = "list")]
    pub scopes: Scopes,
    /// When it was made.
    #[serde(serialize_with = "iso8601")]
    pub created_at: Option<UnixMicros>,
    /// When it stops by itself, if it does.
    #[serde(serialize_with = "iso8601")]
    pub expires_at: Option<UnixMicros>,
    /// When it was used last, to within [`TOKEN_USE_INTERVAL`].
    #[serde(serialize_with = "iso8601")]
    pub last_used_at: Option<UnixMicros>,
    /// When it was revoked, if it was.
    #[serde(serialize_with = "iso8601")]
    pub revoked_at: Option<UnixMicros>,
    /// The digest of its secret; nothing for a row that holds none.
    #[serde(skip)]
    pub digest: Option<TokenDigest>,
}

/// What a token is good for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenState {
    /// It can be used.
    Active,
    /// Its time is over.
    Expired,
    /// An operator took it back.
    Revoked,
}

impl StoredToken {
    /// What it is good for at that moment.
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
    /// Makes a token; this is the only time that its secret is known.
    ///
    /// # Errors
    /// A name that is taken or cannot be one, too many tokens, or a file that cannot be written.
    pub fn create_token(&mut self, new: &NewToken, now: UnixMicros) -> Result<ApiToken, Error> {
        check_token_name(&new.name).map_err(Error::TokenName)?;
        let mut bytes = [0; RANDOM_BYTES];
        getrandom::fill(&mut bytes).expect("every system that we run on has a source of random bytes");
        let token = ApiToken::from_random(bytes);
        self.write_tokens(|transaction| {
            if is_taken(transaction, &new.name)? {
                return Ok(Err(Error::TokenNameTaken(new.name.clone())));
            }
            if !make_room(transaction)? {
                return Ok(Err(Error::TooManyTokens));
            }
            insert(transaction, &token, new, now)?;
            Ok(Ok(()))
        })?;
        Ok(token)
    }

    /// Every token, revoked ones too, in the order in which they were made.
    ///
    /// # Errors
    /// Only if the file cannot be read, or a newer program wrote the table.
    pub fn tokens(&self) -> Result<Vec<StoredToken>, Error> {
        if !self.has_token_table()? {
            return Ok(Vec::new());
        }
        let select = format!("{SELECT} ORDER BY created_at, id LIMIT {MAX_API_TOKENS}");
        let all = || self.connection.prepare(&select)?.query_map([], read)?.collect::<Result<_, _>>();
        all().map_err(self.explain())
    }

    /// The token with that id, whatever its state.
    ///
    /// # Errors
    /// Only if the file cannot be read, or a newer program wrote the table.
    pub fn token(&self, id: &str) -> Result<Option<StoredToken>, Error> {
        if !self.has_token_table()? {
            return Ok(None);
        }
        let select = format!("{SELECT} WHERE id = ?1");
        let one = || self.connection.prepare_cached(&select)?.query_row([id], read).optional();
        one().map_err(self.explain())
    }

    /// Is there a token that can be used at that moment?
    ///
    /// # Errors
    /// As [`Self::tokens`].
    pub fn has_active_token(&self, now: UnixMicros) -> Result<bool, Error> {
        Ok(self.tokens()?.iter().any(|token| token.state(now) == TokenState::Active))
    }

    /// Revokes a token for good, by its id or its name. An id wins over a name that looks like it; of several with one name, the
    /// one in use is revoked.
    ///
    /// # Errors
    /// No such token, one that is revoked already, or a file that cannot be written.
    pub fn revoke_token(&mut self, name_or_id: &str, now: UnixMicros) -> Result<StoredToken, Error> {
        let found = self.tokens()?.into_iter().filter(|it| it.name == name_or_id || it.id == name_or_id);
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

    /// Notes that a token was used, unless that was noted within [`TOKEN_USE_INTERVAL`]. A note from the future, by a clock that
    /// was wrong, gives way.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn note_token_use(&mut self, id: &str, now: UnixMicros) -> Result<(), Error> {
        let before = now.before(TOKEN_USE_INTERVAL);
        self.write_tokens(|transaction| {
            let note = "UPDATE decnet_api_tokens SET last_used_at = ?2
                        WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at <= ?3 OR last_used_at > ?2)";
            transaction.prepare_cached(note)?.execute(params![id, now.0, before.0])?;
            Ok(Ok(()))
        })
    }

    fn has_token_table(&self) -> Result<bool, Error> {
        match schema::look(&self.connection).map_err(self.explain())? {
            Table::Absent => Ok(false),
            Table::Present => Ok(true),
            Table::Newer(found) => Err(self.newer_tokens(found)),
        }
    }

    fn write_tokens(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<Result<(), Error>>,
    ) -> Result<(), Error> {
        let newer = self.newer_tokens(0);
        self.transact(|transaction| match (schema::look(transaction)?, newer) {
            (Table::Newer(found), Error::NewerTokens { path, known, .. }) => {
                Ok(Err(Error::NewerTokens { path, found, known }))
            }
            (Table::Absent, _) => {
                schema::make(transaction)?;
                work(transaction)
            }
            _ => work(transaction),
        })
    }

    fn newer_tokens(&self, found: i64) -> Error {
        Error::NewerTokens { path: self.path().into(), found, known: KNOWN_VERSION }
    }
}

fn is_taken(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<bool> {
    let taken = "SELECT 1 FROM decnet_api_tokens WHERE name = ?1 AND revoked_at IS NULL";
    Ok(transaction.query_row(taken, [name], |_| Ok(())).optional()?.is_some())
}

/// Is there room for one more? The one that was revoked first goes, if there is none.
fn make_room(transaction: &Transaction<'_>) -> rusqlite::Result<bool> {
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

/// What a row cannot say counts against it: no scope, no digest, no time left.
fn read(row: &Row<'_>) -> rusqlite::Result<StoredToken> {
    let cell = |index| row.get_ref(index).map(Cell::read);
    let at = |index| cell(index).map(|cell| time(&cell));
    let digest = row.get_ref(7)?.as_blob().ok().and_then(TokenDigest::from_bytes);
    Ok(StoredToken {
        id: cell(0)?.shown(MAX_NAME_CHARS),
        name: cell(1)?.shown(MAX_NAME_CHARS),
        scopes: cell(2)?.text().ok().and_then(|text| text.parse().ok()).unwrap_or_default(),
        created_at: at(3)?,
        expires_at: at(4)?,
        last_used_at: at(5)?,
        revoked_at: at(6)?,
        digest,
    })
}

/// In microseconds since the epoch. What is there and is no time was long ago, so that nothing goes on for ever.
fn time(cell: &Cell) -> Option<UnixMicros> {
    match cell {
        Cell::Null => None,
        Cell::Integer(micros) => Some(UnixMicros(*micros)),
        _ => Some(UnixMicros(0)),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference to the field")]
fn list<S: Serializer>(scopes: &Scopes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(scopes.iter().map(Scope::as_str))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn iso8601<S: Serializer>(at: &Option<UnixMicros>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(UnixMicros::to_iso8601).serialize(serializer)
}
