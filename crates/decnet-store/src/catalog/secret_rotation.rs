//! Rotation of secrets. The old secret signs in addition to the new secret until receivers have the new secret.

use std::time::Duration;

use decnet_core::duration;
use decnet_core::limits::{MAX_OLD_SECRETS, MAX_SECRET_OVERLAP};
use decnet_core::redact::Secret;
use decnet_core::signature::OldSecret;
use decnet_core::subscription::check_secret;
use decnet_core::time::UnixMicros;
use rusqlite::{OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize};

use super::error::Error;
use super::extension_table::{self, ExtensionTable};
use super::open::Catalog;
use super::sql_value::SqlValue;
use super::trips::Trips;

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
        self.write(|transaction, mut extension| {
            let Some(current) = current_secret(transaction, uuid)? else {
                return Ok(Err(Error::not_found(uuid)));
            };
            extension.ensure(transaction)?;
            let mut old = active_old_secrets(transaction, uuid, now)?;
            // The new secret may be an old one.
            old.retain(|old| old.secret != *secret);
            if let Ok(current) = current.text() {
                if current == secret.expose() {
                    return Ok(Err(RotationError::Same.into()));
                }
                if !overlap.is_zero() && !current.is_empty() {
                    old.insert(0, OldSecret { secret: Secret::new(current), until: now.after(overlap) });
                }
            }
            if old.len() > MAX_OLD_SECRETS {
                let first = old.iter().map(|old| old.until).min().unwrap_or(now);
                return Ok(Err(RotationError::TooMany(first).into()));
            }
            Trips::detect(transaction)?.keep_through_update(transaction, uuid, now)?;
            let update = "UPDATE webhook_subscriptions SET secret = ?2, updated_at = ?3 WHERE uuid = ?1";
            transaction.prepare_cached(update)?.execute([uuid, secret.expose(), &now.to_sqlite()])?;
            extension_table::set_old_secrets(transaction, uuid, &old)?;
            Ok(Ok(()))
        })
    }

    /// Removes all old secrets of a subscription. Returns the number of those that still signed.
    ///
    /// # Errors
    /// The UUID does not exist, or the file cannot be written.
    pub fn revoke_old_secrets(&mut self, uuid: &str, now: UnixMicros) -> Result<usize, Error> {
        self.write(|transaction, extension| {
            if current_secret(transaction, uuid)?.is_none() {
                return Ok(Err(Error::not_found(uuid)));
            }
            if extension == ExtensionTable::Absent {
                return Ok(Ok(0));
            }
            let revoked = active_old_secrets(transaction, uuid, now)?.len();
            extension_table::set_old_secrets(transaction, uuid, &[])?;
            Ok(Ok(revoked))
        })
    }

    /// Removes expired secrets from the file. Returns the number of subscriptions that had expired secrets.
    ///
    /// # Errors
    /// The file cannot be read or written. It is written only if there are expired secrets.
    pub fn remove_expired_secrets(&mut self, now: UnixMicros) -> Result<usize, Error> {
        if self.extension_table()? != ExtensionTable::Present
            || extension_table::with_expired_secrets(&self.connection, now)
                .map_err(self.sqlite_error())?
                .is_empty()
        {
            return Ok(0);
        }
        self.write(|transaction, extension| match extension {
            ExtensionTable::Present => remove_expired(transaction, now).map(Ok),
            ExtensionTable::Absent | ExtensionTable::Older(_) => Ok(Ok(0)),
        })
    }
}

fn remove_expired(transaction: &Transaction<'_>, now: UnixMicros) -> rusqlite::Result<usize> {
    let uuids = extension_table::with_expired_secrets(transaction, now)?;
    for uuid in &uuids {
        let active = active_old_secrets(transaction, uuid, now)?;
        extension_table::set_old_secrets(transaction, uuid, &active)?;
    }
    Ok(uuids.len())
}

/// Returns the old secrets that still sign; none if they cannot be read.
fn active_old_secrets(
    transaction: &Transaction<'_>,
    uuid: &str,
    now: UnixMicros,
) -> rusqlite::Result<Vec<OldSecret>> {
    let mut old = from_stored(&extension_table::get(transaction, uuid, "old_secrets")?).unwrap_or_default();
    old.retain(|old| old.until > now);
    Ok(old)
}

/// Returns the current secret of a row, of any type.
fn current_secret(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<Option<SqlValue>> {
    let select = "SELECT secret FROM webhook_subscriptions WHERE uuid = ?1";
    transaction.prepare_cached(select)?.query_row([uuid], |row| row.get(0)).optional()
}
