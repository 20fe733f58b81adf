//! The watermark of held deliveries, by which a takeover finds them without an index on HELD.
//!
//! An index on HELD would cost two more B-tree changes per delivery. Therefore only deliveries that stay in memory longer
//! than usual are indexed, as LINGERING; in all other respects they are held. A takeover reads that index and the
//! deliveries above the watermark.

use std::collections::VecDeque;

use decnet_core::limits::MEMORY_BUDGET_DELIVERIES;
use rusqlite::Connection;

use super::id::DeliveryId;
use super::meta;
use crate::sql;

/// The number of delivery rows between two marks.
const MARK_ROWS: usize = 4096;
/// The number of marks between the newest row and the watermark. Few deliveries stay in memory that long.
const MARKS: usize = 2 * MEMORY_BUDGET_DELIVERIES / MARK_ROWS;

/// The sequence number below which no delivery is HELD, and marks at which it can advance.
#[derive(Debug)]
pub(super) struct HeldWatermark {
    /// Deliveries of events before this sequence number are not HELD, but may be LINGERING. This value is committed.
    indexed_before: i64,
    /// Sequence numbers in ascending order, about `MARK_ROWS` deliveries apart.
    marks: VecDeque<i64>,
    /// The number of committed rows since the newest mark.
    rows: usize,
    /// The number of rows of the running transaction.
    staged: usize,
}

impl HeldWatermark {
    /// Requeues all held deliveries at a takeover. Returns their number.
    pub(super) fn take_over(conn: &Connection, next_seq: i64) -> rusqlite::Result<(Self, usize)> {
        let indexed_before = meta::get(conn, "swept")?;
        let mut watermark = Self { indexed_before, marks: VecDeque::new(), rows: 0, staged: 0 };
        watermark.index_held(conn, next_seq)?;
        watermark.indexed_before = next_seq;
        let queue = "UPDATE deliveries SET state = 1, due_at = id WHERE state = -1";
        Ok((watermark, sql::execute(conn, queue, [])?))
    }

    pub(super) fn stage(&mut self, rows: usize) {
        self.staged += rows;
    }

    /// Advances the watermark by one mark if there are enough, as part of the running transaction. Returns the new watermark
    /// for [`HeldWatermark::commit`].
    pub(super) fn advance(&self, conn: &Connection) -> rusqlite::Result<Option<i64>> {
        let due = self.marks.front().copied().filter(|_| self.marks.len() > MARKS);
        due.map(|mark| self.index_held(conn, mark).map(|()| mark)).transpose()
    }

    /// Applies the new watermark and the staged rows after their commit.
    pub(super) fn commit(&mut self, indexed_before: Option<i64>, next_seq: i64) {
        if let Some(mark) = indexed_before {
            self.indexed_before = mark;
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

    /// Changes HELD deliveries between the watermark and `before` to LINGERING.
    fn index_held(&self, conn: &Connection, before: i64) -> rusqlite::Result<()> {
        meta::set(conn, "swept", before)?;
        let index = "UPDATE deliveries SET state = -1 WHERE id >= ?1 AND id < ?2 AND state = 0";
        let range = [self.indexed_before, before].map(|seq| DeliveryId::new(seq, 0).0);
        sql::execute(conn, index, range).map(drop)
    }
}
