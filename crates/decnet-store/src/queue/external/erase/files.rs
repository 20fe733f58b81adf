//! Removal of erased content from free pages and from the write-ahead log.

use std::time::Duration;

use super::super::super::error::Error;
use super::super::{BUSY_TIMEOUT, ExternalWriter};
use crate::sql;

/// Returns free pages to the file system in one transaction.
const VACUUM: &str = "PRAGMA incremental_vacuum(256)";
/// The number of tries to truncate the log. With the pause between two tries this takes several seconds, after which most readers
/// are done.
const TRUNCATE_TRIES: u32 = 50;
const TRUNCATE_PAUSE: Duration = Duration::from_millis(100);
/// The time for which one try waits for readers and for another checkpoint. SQLite holds the write lock during this time.
const TRUNCATE_WAIT: Duration = Duration::from_millis(20);

impl ExternalWriter {
    /// Returns free pages to the file system and truncates the log, so that neither file contains erased content. Blocks for
    /// seconds while another process reads; writers are not blocked. Returns false if a reader takes longer, a
    /// [transient](Error::is_transient) error occurs, or `keep_going`, which is called repeatedly, returns false. In that case
    /// call this again later.
    ///
    /// # Errors
    /// An error that is not transient.
    pub fn clean_up(&mut self, keep_going: impl Fn() -> bool) -> Result<bool, Error> {
        match self.try_to_clean_up(keep_going) {
            Err(error) if error.is_transient() => Ok(false),
            result => result,
        }
    }

    fn try_to_clean_up(&mut self, keep_going: impl Fn() -> bool) -> Result<bool, Error> {
        while self.vacuum_some()? {
            if !keep_going() {
                return Ok(false);
            }
        }
        for _ in 0..TRUNCATE_TRIES {
            if self.truncate_log()? {
                return Ok(true);
            }
            if !keep_going() {
                return Ok(false);
            }
            std::thread::sleep(TRUNCATE_PAUSE);
        }
        Ok(false)
    }

    /// Returns some free pages to the file system, and returns whether more free pages are left.
    fn vacuum_some(&mut self) -> Result<bool, Error> {
        sql::all(&self.conn, VACUUM, [], |_| Ok(()))?;
        Ok(sql::value::<i64>(&self.conn, "PRAGMA freelist_count", [])? > 0)
    }

    /// Copies the log into the database and truncates it. Returns false if another process prevented that.
    fn truncate_log(&mut self) -> Result<bool, Error> {
        self.conn.busy_timeout(TRUNCATE_WAIT)?;
        // A passive checkpoint copies most of the log first, because a truncating checkpoint blocks the writer.
        let truncated = self.checkpoint("PASSIVE").and_then(|_| self.checkpoint("TRUNCATE"));
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        truncated
    }

    /// Runs a checkpoint. Returns false if another process prevented it.
    fn checkpoint(&self, mode: &str) -> Result<bool, Error> {
        let is_busy: bool = sql::value(&self.conn, &format!("PRAGMA wal_checkpoint({mode})"), [])?;
        Ok(!is_busy)
    }
}
