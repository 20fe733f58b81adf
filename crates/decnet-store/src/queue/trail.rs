//! Where held deliveries can be, so that a takeover finds them without an index.
//!
//! An index of what is held would cost each delivery two more changes of a tree. So only what is held after more
//! admissions than memory has room for is indexed, as LINGERING; otherwise it is as held as before. A takeover
//! looks at that index, and at what was admitted since.

use std::collections::VecDeque;

use decnet_core::limits::MAX_HELD;
use rusqlite::Connection;

use super::id::DeliveryId;

/// Rows between two marks.
const MARK_ROWS: usize = 4096;
/// Marks between the newest row and where nothing is HELD: a delivery seldom is in memory for so long.
const MARKS: usize = 2 * MAX_HELD / MARK_ROWS;

/// The newest admissions, in steps of `MARK_ROWS`.
#[derive(Debug)]
pub(super) struct Trail {
    /// No delivery of an event before this one is HELD, only LINGERING. Committed.
    swept: i64,
    /// Sequence numbers, ascending.
    marks: VecDeque<i64>,
    /// Rows since the newest mark.
    rows: usize,
    /// Rows of the transaction that runs.
    staged: usize,
}

impl Trail {
    /// At a takeover: what is held waits in the queue now. Says how much that was.
    pub(super) fn take_over(conn: &Connection, next_seq: i64) -> rusqlite::Result<(Self, usize)> {
        let swept = conn.query_row("SELECT value FROM meta WHERE key = 'swept'", [], |row| row.get(0))?;
        let mut trail = Self { swept, marks: VecDeque::new(), rows: 0, staged: 0 };
        trail.index_held(conn, next_seq)?;
        trail.swept = next_seq;
        let queue = "UPDATE deliveries SET state = 1, due_at = id WHERE state = -1";
        Ok((trail, conn.execute(queue, [])?))
    }

    pub(super) fn stage(&mut self, rows: usize) {
        self.staged += rows;
    }

    /// Before a commit: sweeps one step, if it is time. To be given to [`Trail::commit`].
    pub(super) fn sweep(&self, conn: &Connection) -> rusqlite::Result<Option<i64>> {
        let due = self.marks.front().copied().filter(|_| self.marks.len() > MARKS);
        due.map(|mark| self.index_held(conn, mark).map(|()| mark)).transpose()
    }

    /// What was staged and swept is on the disk.
    pub(super) fn commit(&mut self, swept: Option<i64>, next_seq: i64) {
        if let Some(mark) = swept {
            self.swept = mark;
            self.marks.pop_front();
        }
        self.rows += std::mem::take(&mut self.staged);
        if self.rows >= MARK_ROWS {
            self.rows = 0;
            self.marks.push_back(next_seq);
        }
    }

    pub(super) fn rollback(&mut self) {
        self.staged = 0;
    }

    fn index_held(&self, conn: &Connection, up_to: i64) -> rusqlite::Result<()> {
        let mut note = conn.prepare_cached("UPDATE meta SET value = ?1 WHERE key = 'swept'")?;
        note.execute([up_to])?;
        let mut index =
            conn.prepare_cached("UPDATE deliveries SET state = -1 WHERE id >= ?1 AND id < ?2 AND state = 0")?;
        index.execute((DeliveryId::new(self.swept, 0).raw(), DeliveryId::new(up_to, 0).raw()))?;
        Ok(())
    }
}
