//! A secret's rotation: the old one signs beside the new one until every receiver knows that.

use std::time::Duration;

use decnet_core::duration;
use decnet_core::limits::{MAX_OLD_SECRETS, MAX_SECRET_OVERLAP};
use decnet_core::redact::Secret;
use decnet_core::subscription::check_secret;
use decnet_core::time::UnixMicros;
use rusqlite::{OptionalExtension as _, Transaction};
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::error::Error;
use super::open::Catalog;
use super::side::{self, Side};
use super::trips::Trips;

/// A secret that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSecret {
    /// What still signs.
    pub secret: Secret,
    /// Until when.
    pub until: UnixMicros,
}

/// Why a rotation is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RotationError {
    /// It would change nothing.
    #[error("that is the secret already; give another one")]
    Same,
    /// Too long.
    #[error("an old secret signs beside the new one for at most {}", duration::show(MAX_SECRET_OVERLAP))]
    Overlap,
    /// Receivers may still have any of the last ones.
    #[error(
        "{MAX_OLD_SECRETS} older secrets still sign, the first until {}; rotate after that, or end them at once with `decnet subscription rotate-secret NAME --revoke`",
        .0.to_iso8601()
    )]
    TooMany(UnixMicros),
}

/// As it rests in our table.
#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    secret: std::borrow::Cow<'a, str>,
    /// Microseconds since the epoch.
    until: i64,
}

pub(super) fn to_stored(old: &[OldSecret]) -> String {
    let all = old.iter().map(|old| Stored { secret: old.secret.expose().into(), until: old.until.0 });
    let all: Vec<Stored<'_>> = all.collect();
    serde_json::to_string(&all).expect("texts and numbers")
}

/// The old secrets, newest first; none where they cannot be read.
pub(super) fn from_stored(cell: &Cell) -> Result<Vec<OldSecret>, ()> {
    if matches!(cell, Cell::Null) {
        return Ok(Vec::new());
    }
    let all: Vec<Stored<'_>> = serde_json::from_str(cell.text().map_err(drop)?).map_err(drop)?;
    let old = |stored: &Stored<'_>| OldSecret {
        secret: Secret::new(&*stored.secret),
        until: UnixMicros(stored.until),
    };
    Ok(all.iter().take(MAX_OLD_SECRETS).map(old).collect())
}

impl Catalog {
    /// Puts a new secret into a row, and lets the one that was there sign beside it for `overlap`; none of it, if that
    /// is zero.
    ///
    /// # Errors
    /// No such UUID, a secret out of bounds, one of [`RotationError`], or a file that cannot be written.
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
        self.write(|transaction, side| {
            let Some(current) = current(transaction, uuid)? else { return Ok(Err(not_found(uuid))) };
            if side == Side::Absent {
                side::make(transaction)?;
            }
            let mut old = living(transaction, uuid, now)?;
            // Whoever goes back to an old one needs it no second time.
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
            Trips::detect(transaction)?.carry(transaction, uuid, now)?;
            let update = "UPDATE webhook_subscriptions SET secret = ?2, updated_at = ?3 WHERE uuid = ?1";
            transaction.prepare_cached(update)?.execute([uuid, secret.expose(), &now.to_sqlite()])?;
            side::set_old_secrets(transaction, uuid, &old)?;
            Ok(Ok(()))
        })
    }

    /// From now on only a row's own secret signs; how many signed beside it until now.
    ///
    /// # Errors
    /// No such UUID, or a file that cannot be written.
    pub fn revoke_old_secrets(&mut self, uuid: &str, now: UnixMicros) -> Result<usize, Error> {
        self.write(|transaction, side| {
            if current(transaction, uuid)?.is_none() {
                return Ok(Err(not_found(uuid)));
            }
            if side == Side::Absent {
                return Ok(Ok(0));
            }
            let living = living(transaction, uuid, now)?.len();
            side::set_old_secrets(transaction, uuid, &[])?;
            Ok(Ok(living))
        })
    }

    /// Removes the secrets that do not sign any more from the file; how many subscriptions had some.
    ///
    /// # Errors
    /// A file that cannot be read or written. It is written only where there is something to remove.
    pub fn forget_expired_secrets(&mut self, now: UnixMicros) -> Result<usize, Error> {
        if self.side()? != Side::Present
            || side::expired(&self.connection, now).map_err(self.explain())?.is_empty()
        {
            return Ok(0);
        }
        self.write(|transaction, side| match side {
            Side::Present => forget_expired(transaction, now).map(Ok),
            Side::Absent | Side::Older(_) => Ok(Ok(0)),
        })
    }
}

/// See [`Catalog::forget_expired_secrets`]; our tables are there.
fn forget_expired(transaction: &Transaction<'_>, now: UnixMicros) -> rusqlite::Result<usize> {
    let expired = side::expired(transaction, now)?;
    for uuid in &expired {
        let living = living(transaction, uuid, now)?;
        side::set_old_secrets(transaction, uuid, &living)?;
    }
    Ok(expired.len())
}

/// The old secrets that still sign; those that cannot be read do not.
fn living(transaction: &Transaction<'_>, uuid: &str, now: UnixMicros) -> rusqlite::Result<Vec<OldSecret>> {
    let mut old = from_stored(&side::get(transaction, uuid, "old_secrets")?).unwrap_or_default();
    old.retain(|old| old.until > now);
    Ok(old)
}

/// What a row's secret is, whatever it is.
fn current(transaction: &Transaction<'_>, uuid: &str) -> rusqlite::Result<Option<Cell>> {
    let select = "SELECT secret FROM webhook_subscriptions WHERE uuid = ?1";
    transaction.prepare_cached(select)?.query_row([uuid], |row| Ok(Cell::read(row.get_ref(0)?))).optional()
}

fn not_found(uuid: &str) -> Error {
    Error::NotFound { wanted: uuid.to_owned(), near: Vec::new() }
}
