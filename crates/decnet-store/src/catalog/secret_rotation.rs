//! Rotation of secrets. The old secret signs in addition to the new secret until receivers have the new secret.

use std::time::Duration;

use decnet_core::duration;
use decnet_core::limits::{MAX_OLD_SECRETS, MAX_SECRET_OVERLAP};
use decnet_core::redact::Secret;
use decnet_core::signature::OldSecret;
use decnet_core::subscription::check_secret;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::error::{Abort, Error};
use super::extension_table::{ExtensionRow, ExtensionTable, with_expired_secrets};
use super::open::Catalog;
use super::sql_value::SqlValue;
use super::trips::Trips;
use crate::sql;
use crate::vault::Keys;

/// The reason why a rotation is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// The new secret is the current secret.
    #[error("this is already the current secret; specify another secret")]
    Same,
    /// The overlap is too long.
    #[error(
        "requests may also be signed with an old secret for at most {}",
        duration::show(MAX_SECRET_OVERLAP)
    )]
    Overlap,
    /// Too many older secrets still sign; the first of them expires at this time.
    #[error(
        "{MAX_OLD_SECRETS} older secrets still sign, the first until {}; rotate after that, or revoke them now with `decnet subscription rotate-secret NAME --revoke`",
        .0.to_iso8601()
    )]
    TooMany(UnixMicros),
}

/// An old secret in the JSON of the extension table.
#[derive(Serialize, Deserialize)]
struct StoredSecret<'a> {
    #[serde(borrow)]
    secret: std::borrow::Cow<'a, str>,
    /// Microseconds since the epoch.
    until: i64,
}

pub(super) fn to_stored(old: &[OldSecret]) -> String {
    let all = old.iter().map(|old| StoredSecret { secret: old.secret.expose().into(), until: old.until.0 });
    let all: Vec<StoredSecret<'_>> = all.collect();
    serde_json::to_string(&all).expect("texts and numbers are valid JSON")
}

/// Returns the old secrets, newest first; `Err` if they cannot be read.
pub(super) fn from_stored(value: &SqlValue) -> Result<Vec<OldSecret>, ()> {
    if matches!(value, SqlValue::Null) {
        return Ok(Vec::new());
    }
    let all: Vec<StoredSecret<'_>> = serde_json::from_str(value.text().map_err(drop)?).map_err(drop)?;
    let old = |stored: &StoredSecret<'_>| OldSecret {
        secret: Secret::new(&*stored.secret),
        until: UnixMicros(stored.until),
    };
    Ok(all.iter().take(MAX_OLD_SECRETS).map(old).collect())
}

impl Catalog {
    /// Replaces a subscription's secret. The current secret signs in addition to the new secret for `overlap`.
    ///
    /// # Errors
    /// The UUID does not exist, the secret is invalid, [`RotationError`], or the file cannot be written.
    pub fn rotate_secret(
        &mut self,
        uuid: &str,
        secret: &Secret,
        overlap: Duration,
        now: UnixMicros,
    ) -> Result<(), Error> {
        check_secret(secret.expose())?;
        if overlap > MAX_SECRET_OVERLAP {
            return Err(RotationError::Overlap.into());
        }
        let keys = self.keys.clone();
        self.change_subscription(uuid, "rotate_secret", now, |transaction, mut extension| {
            let current = current_secret(transaction, uuid)?.ok_or_else(|| Error::not_found(uuid))?;
            extension.ensure(transaction)?;
            let row = ExtensionRow { conn: transaction, uuid };
            let mut old = row.active_old_secrets(&keys, now)?;
            // The new secret may be an old one.
            old.retain(|old| old.secret != *secret);
            if let Ok(current) = current.text() {
                if current == secret.expose() {
                    return Err(Error::from(RotationError::Same).into());
                }
                if !overlap.is_zero() && !current.is_empty() {
                    old.insert(0, OldSecret { secret: Secret::new(current), until: now.after(overlap) });
                }
            }
            if old.len() > MAX_OLD_SECRETS {
                let first = old.iter().map(|old| old.until).min().unwrap_or(now);
                return Err(Error::from(RotationError::TooMany(first)).into());
            }
            Trips::detect(transaction)?.keep_through_update(uuid, now)?;
            let update = "UPDATE webhook_subscriptions SET secret = ?2, updated_at = ?3 WHERE uuid = ?1";
            sql::execute(transaction, update, [uuid, secret.expose(), &now.to_sqlite()])?;
            row.set_old_secrets(&keys, &old)
        })
    }

    /// Removes all old secrets of a subscription, also if they cannot be decrypted. Returns the number of those that still signed, as
    /// far as they can be read.
    ///
    /// # Errors
    /// The UUID does not exist, or the file cannot be written.
    pub fn revoke_old_secrets(&mut self, uuid: &str, now: UnixMicros) -> Result<usize, Error> {
        let keys = self.keys.clone();
        self.change_subscription(uuid, "revoke_old_secrets", now, |transaction, extension| {
            if current_secret(transaction, uuid)?.is_none() {
                return Err(Error::not_found(uuid).into());
            }
            if extension == ExtensionTable::Absent {
                return Ok(0);
            }
            let row = ExtensionRow { conn: transaction, uuid };
            let revoked = row.active_old_secrets(&keys, now).map_or(0, |old| old.len());
            row.set_old_secrets(&keys, &[])?;
            Ok(revoked)
        })
    }

    /// Removes expired secrets from the file, unless they cannot be decrypted. Returns the number of subscriptions that had expired
    /// secrets.
    ///
    /// # Errors
    /// The file cannot be read or written. It is written only if there are expired secrets.
    pub fn remove_expired_secrets(&mut self, now: UnixMicros) -> Result<usize, Error> {
        if self.extension_table()? != ExtensionTable::Present
            || with_expired_secrets(&self.connection, now).map_err(self.sqlite_error())?.is_empty()
        {
            return Ok(0);
        }
        let keys = self.keys.clone();
        self.write_unrecorded(|transaction, extension| {
            if extension != ExtensionTable::Present {
                return Ok(0);
            }
            let mut removed = 0;
            for uuid in with_expired_secrets(transaction, now)? {
                let row = ExtensionRow { conn: transaction, uuid: &uuid };
                match row.active_old_secrets(&keys, now) {
                    Ok(active) => row.set_old_secrets(&keys, &active)?,
                    Err(abort) if abort.is_locked() => continue,
                    Err(abort) => return Err(abort),
                }
                removed += 1;
            }
            Ok(removed)
        })
    }
}

impl ExtensionRow<'_> {
    /// Returns the old secrets that still sign; none if they are invalid.
    fn active_old_secrets(self, keys: &Keys, now: UnixMicros) -> Result<Vec<OldSecret>, Abort> {
        let mut old = from_stored(&self.get_secret(keys, "old_secrets")?).unwrap_or_default();
        old.retain(|old| old.until > now);
        Ok(old)
    }
}

/// Returns the current secret of a row, of any type.
fn current_secret(conn: &Connection, uuid: &str) -> rusqlite::Result<Option<SqlValue>> {
    sql::find(conn, "SELECT secret FROM webhook_subscriptions WHERE uuid = ?1", [uuid])
}
