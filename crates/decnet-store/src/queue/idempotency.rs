//! Hashes of submitted ids and idempotency keys, which detect duplicates for a bounded time.

use decnet_core::limits::{
    CLOCK_TOLERANCE, DEDUP_ID_BYTES, DEDUP_QUEUE_FRACTION, IDEMPOTENCY_KEY_BYTES, RETENTION_STEP_ROWS,
    SUBMISSION_DEDUP_WINDOW,
};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use sha2::{Digest, Sha256};

use super::error::Error;
use crate::sql;

/// A truncated SHA-256, long enough that collisions cannot be found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash([u8; 16]);

impl Hash {
    /// Hashes the id of an event.
    pub(super) fn of_id(id: &str) -> Self {
        Self::of(&[id.as_bytes()])
    }

    /// Hashes the parts, each preceded by its length.
    pub(super) fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update(part.len().to_le_bytes());
            digest.update(part);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let (beginning, _) = digest.split_first_chunk().expect("32 bytes begin with 16");
        Self(*beginning)
    }
}

/// Removes the content hash of a submitted id, and keeps the id itself.
pub(super) fn clear_content_hash(conn: &Connection, id: &str) -> Result<(), Error> {
    let clear = "UPDATE submitted_ids SET content = NULL WHERE hash = ?1 AND content IS NOT NULL";
    Ok(sql::execute(conn, clear, [Hash::of_id(id)]).map(drop)?)
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

/// The seed of the ids generated for the events of a request. Storing the seed is enough to generate the same ids again.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdSeed([u8; 16]);

impl IdSeed {
    pub(super) fn random() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// Returns the id of the event with this index, as a UUID (RFC 9562 section 5.8).
    pub(super) fn id(self, index: usize) -> String {
        let Hash(bytes) = Hash::of(&[&self.0, &index.to_le_bytes()]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

impl ToSql for IdSeed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for IdSeed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(value).map(Self)
    }
}

/// Removes some entries that are too old, or that are too many for a file of `max_bytes`. Returns whether there may be more.
/// Without a time, no entry is too old.
pub(super) fn expire_some(conn: &Connection, max_bytes: u64, now: Option<UnixMicros>) -> Result<bool, Error> {
    let mut more = false;
    let expired = now.map_or(i64::MIN, |now| now.before(SUBMISSION_DEDUP_WINDOW).0);
    for (table, row_bytes) in [("submitted_ids", DEDUP_ID_BYTES), ("submitted_keys", IDEMPOTENCY_KEY_BYTES)] {
        let max_rows = i64::try_from(max_bytes / DEDUP_QUEUE_FRACTION / row_bytes).unwrap_or(i64::MAX);
        let expire = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?3)
                 AND (at < ?1 OR seq <= (SELECT max(seq) FROM {table}) - ?2)"
        );
        if let Some(now) = now {
            redate_future(conn, table, now)?;
        }
        let bounds = (expired, max_rows, RETENTION_STEP_ROWS as i64);
        more |= sql::execute(conn, &expire, bounds)? == RETENTION_STEP_ROWS;
    }
    Ok(more)
}

/// Changes the time of the oldest entries to `now` if it is in the future. Such entries were written while the clock was wrong;
/// they would not expire before that time, and neither would the entries behind them.
fn redate_future(conn: &Connection, table: &str, now: UnixMicros) -> Result<(), Error> {
    let redate = format!(
        "UPDATE {table} SET at = ?1 WHERE at > ?2 AND seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?3)"
    );
    let bounds = (now.0, now.after(CLOCK_TOLERANCE).0, RETENTION_STEP_ROWS as i64);
    Ok(sql::execute(conn, &redate, bounds).map(drop)?)
}
