//! What DECNET's own tables say of a session: its user, and whether it was ended.
//!
//! They are DECNET's, in whatever version: a value that makes no sense counts against the session, and what came to these
//! tables later, revocation among it, may be missing and then limits nothing.

use decnet_core::time::UnixMicros;
use rusqlite::OptionalExtension as _;

use super::schema::columns;
use crate::catalog::cell::Cell;
use crate::catalog::error::Error;
use crate::catalog::open::Catalog;

/// What is known of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// This catalog has no users: it is not DECNET's.
    NoUsers,
    /// Nobody has that id, or what the row holds makes no sense.
    UnknownUser,
    /// The session was ended.
    Revoked,
    /// It goes on, and belongs to this user.
    Of(DecnetUser),
}

/// A user of DECNET's dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecnetUser {
    /// What to call them, where the row says it.
    pub username: Option<String>,
    /// `admin`, `viewer` or another.
    pub role: String,
    /// Sessions that were issued before do not count, in seconds since the epoch; rounded down, as they are.
    pub valid_from: Option<i64>,
    /// DECNET lets this user do nothing before they have changed their password.
    pub must_change_password: bool,
}

impl Catalog {
    /// Looks a session up, by its user's id and its own.
    ///
    /// # Errors
    /// Only if the file cannot be read.
    pub fn session(&self, user: &str, id: &str) -> Result<Session, Error> {
        self.look_up(user, id).map_err(self.explain())
    }

    fn look_up(&self, user: &str, id: &str) -> rusqlite::Result<Session> {
        let names = columns(&self.connection, "users")?;
        if names.is_empty() {
            return Ok(Session::NoUsers);
        }
        let has = |name: &str| names.iter().any(|found| found == name);
        if !has("uuid") || !has("role") {
            return Ok(Session::UnknownUser);
        }
        let or_null = |name: &'static str| if has(name) { name } else { "NULL" };
        let (valid_from, must_change) = (or_null("tokens_valid_from"), or_null("must_change_password"));
        let username = or_null("username");
        let select =
            format!("SELECT {username}, role, {valid_from}, {must_change} FROM users WHERE uuid = ?1");
        let mut select = self.connection.prepare_cached(&select)?;
        let cells = |row: &rusqlite::Row<'_>| {
            let cell = |index| Ok::<_, rusqlite::Error>(Cell::read(row.get_ref(index)?));
            Ok([cell(0)?, cell(1)?, cell(2)?, cell(3)?])
        };
        let Some(cells) = select.query_row([user], cells).optional()? else {
            return Ok(Session::UnknownUser);
        };
        if self.is_revoked(id)? {
            return Ok(Session::Revoked);
        }
        Ok(read_user(&cells).map_or(Session::UnknownUser, Session::Of))
    }

    fn is_revoked(&self, id: &str) -> rusqlite::Result<bool> {
        if !columns(&self.connection, "revoked_tokens")?.iter().any(|name| name == "jti") {
            return Ok(false);
        }
        let revoked = "SELECT 1 FROM revoked_tokens WHERE jti = ?1";
        Ok(self.connection.prepare_cached(revoked)?.query_row([id], |_| Ok(())).optional()?.is_some())
    }
}

fn read_user([username, role, valid_from, must_change]: &[Cell; 4]) -> Option<DecnetUser> {
    let valid_from = match valid_from {
        Cell::Null => None,
        Cell::Integer(seconds) => Some(*seconds),
        Cell::Real(seconds) => Some(UnixMicros::from_seconds(*seconds)?.as_seconds()),
        other => Some(other.time().0?.as_seconds()),
    };
    let must_change_password = match must_change {
        Cell::Null => false,
        Cell::Integer(value) => *value != 0,
        Cell::Text(text) => !matches!(&**text, "0" | "false" | "False"),
        _ => true,
    };
    let username = username.text().ok().map(str::to_owned);
    Some(DecnetUser { username, role: role.text().ok()?.to_owned(), valid_from, must_change_password })
}
