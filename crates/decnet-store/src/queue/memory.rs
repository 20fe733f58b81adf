//! What was submitted is remembered for a while, so that a repetition is known.

use decnet_core::limits::{
    CLOCK_TOLERANCE, REMEMBERED_FRACTION, REMEMBERED_ID_BYTES, REMEMBERED_KEY_BYTES, RETENTION_STEP_ROWS,
    SUBMISSION_MEMORY_AGE,
};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use sha2::{Digest, Sha256};

use super::error::Error;

/// The beginning of a SHA-256: long enough that nobody finds another text with the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash([u8; 16]);

impl Hash {
    /// Of an event's id.
    pub(super) fn of_id(id: &str) -> Self {
        Self::of(&[id.as_bytes()])
    }

    /// Of the parts, each with its length.
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

/// What was submitted with this id is not known any more: only that it was.
pub(super) fn forget_content(conn: &Connection, id: &str) -> Result<(), Error> {
    let mut forget = conn
        .prepare_cached("UPDATE submitted_ids SET content = NULL WHERE hash = ?1 AND content IS NOT NULL")?;
    forget.execute([Hash::of_id(id)])?;
    Ok(())
}

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

/// What the ids of a request are made of, for events that bring none: whoever remembers it remembers all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seed([u8; 16]);

impl Seed {
    pub(super) fn fresh() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// The id of the event with this index, in the form of a UUID (RFC 9562 section 5.8).
    pub(super) fn id(self, index: usize) -> String {
        let Hash(bytes) = Hash::of(&[&self.0, &index.to_le_bytes()]);
        uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
    }
}

impl ToSql for Seed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

impl FromSql for Seed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        FromSql::column_result(value).map(Self)
    }
}

/// Forgets some of what is too old, or too much for a file of `max_bytes`; true if there may be more. Without a time, nothing
/// is too old.
pub(super) fn forget_some(conn: &Connection, max_bytes: u64, now: Option<UnixMicros>) -> Result<bool, Error> {
    let mut more = false;
    let expired = now.map_or(i64::MIN, |now| now.before(SUBMISSION_MEMORY_AGE).0);
    for (table, row_bytes) in
        [("submitted_ids", REMEMBERED_ID_BYTES), ("submitted_keys", REMEMBERED_KEY_BYTES)]
    {
        let most = i64::try_from(max_bytes / REMEMBERED_FRACTION / row_bytes).unwrap_or(i64::MAX);
        let sql = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?3)
                 AND (at < ?1 OR seq <= (SELECT max(seq) FROM {table}) - ?2)"
        );
        if let Some(now) = now {
            date_anew(conn, table, now)?;
        }
        let bounds = (expired, most, RETENTION_STEP_ROWS as i64);
        more |= conn.prepare_cached(&sql)?.execute(bounds)? == RETENTION_STEP_ROWS;
    }
    Ok(more)
}

/// Dates the oldest entries anew whose time lies in the future: they were noted while the clock was wrong, and would stay, and
/// keep those behind them, until that time has come.
fn date_anew(conn: &Connection, table: &str, now: UnixMicros) -> Result<(), Error> {
    let sql = format!(
        "UPDATE {table} SET at = ?1 WHERE at > ?2 AND seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?3)"
    );
    let bounds = (now.0, now.after(CLOCK_TOLERANCE).0, RETENTION_STEP_ROWS as i64);
    conn.prepare_cached(&sql)?.execute(bounds)?;
    Ok(())
}
