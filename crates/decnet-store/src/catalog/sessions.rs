//! Sessions of DECNET's dashboard: their users and revocations, from DECNET's tables.
//!
//! The tables may have any version of DECNET. An invalid value makes the session invalid. Missing tables and columns of later
//! versions, such as revocations, impose no restriction.

use decnet_core::time::UnixMicros;

use super::error::Error;
use super::open::Catalog;
use super::schema::column_names;
use super::sql_value::SqlValue;
use crate::sql;

/// The state of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Session {
    /// The catalog has no table of users, since DECNET did not create it.
    NoUsers,
    /// The user does not exist, or the user's row is invalid.
    UnknownUser,
    /// The session was revoked.
    Revoked,
    /// The session is valid and belongs to this user.
    Valid(DecnetUser),
}

/// A user of DECNET's dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecnetUser {
    /// The user's name, if the row has one.
    pub username: Option<String>,
    /// The role: `admin`, `viewer` or another.
    pub role: String,
    /// The time, in seconds since the epoch, before which issued sessions are invalid. Rounded down as in a session's claims.
    pub valid_from: Option<i64>,
    /// Whether the user must change the password before any other action.
    pub must_change_password: bool,
}

impl Catalog {
    /// Returns the state of a session, given the id of its user and its own id.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn session(&self, user: &str, id: &str) -> Result<Session, Error> {
        self.read_session(user, id).map_err(self.sqlite_error())
    }

    fn read_session(&self, user: &str, id: &str) -> rusqlite::Result<Session> {
        let names = column_names(&self.connection, "users")?;
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
        let values = sql::first(&self.connection, &select, [user], |row| {
            Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
        });
        let Some(values) = values? else { return Ok(Session::UnknownUser) };
        if self.is_revoked(id)? {
            return Ok(Session::Revoked);
        }
        Ok(read_user(&values).map_or(Session::UnknownUser, Session::Valid))
    }

    fn is_revoked(&self, id: &str) -> rusqlite::Result<bool> {
        if !column_names(&self.connection, "revoked_tokens")?.iter().any(|name| name == "jti") {
            return Ok(false);
        }
        let revoked = "SELECT EXISTS (SELECT 1 FROM revoked_tokens WHERE jti = ?1)";
        sql::value(&self.connection, revoked, [id])
    }
}

fn read_user([username, role, valid_from, must_change]: &[SqlValue; 4]) -> Option<DecnetUser> {
    let valid_from = match valid_from {
        SqlValue::Null => None,
        SqlValue::Integer(seconds) => Some(*seconds),
        SqlValue::Real(seconds) => Some(UnixMicros::from_seconds(*seconds)?.as_seconds()),
        other => Some(other.time().0?.as_seconds()),
    };
    let must_change_password = match must_change {
        SqlValue::Null => false,
        SqlValue::Integer(value) => *value != 0,
        SqlValue::Text(text) => !matches!(&**text, "0" | "false" | "False"),
        _ => true,
    };
    let username = username.text().ok().map(str::to_owned);
    Some(DecnetUser { username, role: role.text().ok()?.to_owned(), valid_from, must_change_password })
}
