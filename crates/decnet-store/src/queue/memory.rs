//! What was submitted is remembered for a while, so that a repetition is known.

use decnet_core::limits::{RETENTION_STEP_ROWS, SUBMISSION_MEMORY_AGE};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput};
use sha2::{Digest, Sha256};

use super::error::Error;

/// The beginning of a SHA-256: long enough that nobody finds another text with the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash([u8; 16]);

impl Hash {
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

impl ToSql for Hash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_slice().into())
    }
}

/// What was noted before then is forgotten.
pub(super) fn expired_before(now: UnixMicros) -> i64 {
    now.0.saturating_sub(i64::try_from(SUBMISSION_MEMORY_AGE.as_micros()).unwrap_or(i64::MAX))
}

/// Forgets some of what is too old; true if there may be more.
pub(super) fn forget_expired(conn: &Connection, now: UnixMicros) -> Result<bool, Error> {
    let mut more = false;
    for table in ["submitted_ids", "submitted_keys"] {
        let sql = format!(
            "DELETE FROM {table} WHERE seq IN (SELECT seq FROM {table} ORDER BY seq LIMIT ?2) AND at < ?1"
        );
        let forgotten =
            conn.prepare_cached(&sql)?.execute((expired_before(now), RETENTION_STEP_ROWS as i64))?;
        more |= forgotten == RETENTION_STEP_ROWS;
    }
    Ok(more)
}
