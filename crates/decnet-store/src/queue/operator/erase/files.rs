//! What the files still hold of what was erased: copies in free pages, and in the log.

use std::time::Duration;

use super::super::super::error::Error;
use super::super::{BUSY_TIMEOUT, Operator};

/// Free pages given back to the disk in one transaction.
const VACUUM: &str = "PRAGMA incremental_vacuum(256)";
/// How often, and after what pauses, emptying the log is tried: seconds, which most readers are done in.
const CHECKPOINT_TRIES: u32 = 50;
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);
/// For how long one try waits for readers and for another checkpoint. SQLite waits with the writer's lock in its hand.
const CHECKPOINT_WAIT: Duration = Duration::from_millis(20);

impl Operator {
    /// Gives free pages back to the disk and empties the log, so that nothing of what was erased is left in either file.
    /// Blocks, for seconds where somebody reads; writers go on meanwhile. False if somebody read for longer than that,
    /// something else was in the way that [will pass](Error::will_pass), or `go_on`, which is asked again and again, said
    /// no: call it again later.
    ///
    /// # Errors
    /// What will not pass.
    pub fn clean_up(&mut self, go_on: impl Fn() -> bool) -> Result<bool, Error> {
        match self.try_to_clean_up(go_on) {
            Err(error) if error.will_pass() => Ok(false),
            done => done,
        }
    }

    fn try_to_clean_up(&mut self, go_on: impl Fn() -> bool) -> Result<bool, Error> {
        while self.give_back()? {
            if !go_on() {
                return Ok(false);
            }
        }
        for _ in 0..CHECKPOINT_TRIES {
            if self.empty_log()? {
                return Ok(true);
            }
            if !go_on() {
                return Ok(false);
            }
            std::thread::sleep(CHECKPOINT_PAUSE);
        }
        Ok(false)
    }

    /// One bounded step; false if none is left.
    fn give_back(&mut self) -> Result<bool, Error> {
        let mut vacuum = self.conn.prepare_cached(VACUUM)?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        Ok(self.conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))? > 0)
    }

    /// Copies the log into the database and empties it, if nobody keeps it from that.
    fn empty_log(&mut self) -> Result<bool, Error> {
        self.conn.busy_timeout(CHECKPOINT_WAIT)?;
        // Most of it beside the writer, which is kept waiting only while the rest is copied.
        let emptied = self.checkpoint("PASSIVE").and_then(|_| self.checkpoint("TRUNCATE"));
        self.conn.busy_timeout(BUSY_TIMEOUT)?;
        emptied
    }

    /// False if somebody was in the way.
    fn checkpoint(&self, mode: &str) -> Result<bool, Error> {
        let mut checkpoint = self.conn.prepare_cached(&format!("PRAGMA wal_checkpoint({mode})"))?;
        Ok(!checkpoint.query_row([], |row| row.get::<_, bool>(0))?)
    }
}
