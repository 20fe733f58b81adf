//! The writer's connection, and its state in memory.

use std::time::{Duration, Instant};

use decnet_core::event::sendable_id;
use decnet_core::limits::DEDUP_WINDOW_EVENTS;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, TransactionBehavior};

use super::dedup::RecentIds;
use super::error::Error;
use super::held_watermark::HeldWatermark;
use super::meta;
use super::prune::PruneCursor;
use crate::sql;
use decnet_runtime::clock::Clock;

/// The writer's connection, and the state in memory that belongs to it. This state is changed only inside
/// [`WriterState::transaction`] and rolled back with the transaction, so that a retry starts from the same state.
#[derive(Debug)]
pub(super) struct WriterState {
    pub(super) conn: Connection,
    pub(super) recent_ids: RecentIds,
    pub(super) held_watermark: HeldWatermark,
    /// The sequence number of the next event.
    pub(super) next_seq: i64,
    pub(super) prune_cursor: PruneCursor,
    /// The duration of the last `COMMIT`.
    pub(super) last_sync_time: Duration,
    /// Bytes in use in the database file, at the last step of retention.
    pub(super) used_bytes: u64,
    /// The time of the last admission. Admission times ascend like ids, except when the clock is corrected.
    pub(super) last_admitted_at: UnixMicros,
    clock: Clock,
    /// The fencing token of this owner; a later owner has a higher token.
    generation: i64,
    /// The value of `PRAGMA data_version` at the last call of [`WriterState::changed_elsewhere`].
    data_version: i64,
}

impl WriterState {
    /// Takes the queue over from its previous owner.
    pub(super) fn open(mut conn: Connection, clock: Clock) -> Result<Self, Error> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let generation = meta::add(&tx, "generation", 1)?;
        let (next_seq, last_admitted_at) = load_next_seq(&tx)?;
        let (held_watermark, held) = HeldWatermark::take_over(&tx, next_seq)?;
        tx.commit()?;
        if held > 0 {
            tracing::info!(
                deliveries = held,
                "requeued deliveries that an interrupted worker held in memory"
            );
        }
        let recent_ids = load_recent_ids(&conn, next_seq)?;
        let data_version = data_version(&conn)?;
        Ok(Self {
            conn,
            recent_ids,
            held_watermark,
            next_seq,
            prune_cursor: PruneCursor::default(),
            last_sync_time: Duration::ZERO,
            used_bytes: 0,
            last_admitted_at,
            clock,
            generation,
            data_version,
        })
    }

    /// Runs `work` in a transaction. When this returns, either all of its changes are on disk or none.
    pub(super) fn transaction<T>(
        &mut self,
        writes: bool,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = (self.next_seq, self.last_admitted_at, self.prune_cursor, self.data_version);
        let result = self.begin(writes).and_then(|()| work(self)).and_then(|output| {
            let indexed_before = if writes { self.held_watermark.advance(&self.conn)? } else { None };
            let started = Instant::now();
            sql::execute(&self.conn, "COMMIT", [])?;
            self.last_sync_time = started.elapsed();
            self.recent_ids.commit();
            self.held_watermark.commit(indexed_before, self.next_seq);
            Ok(output)
        });
        if result.is_err() {
            (self.next_seq, self.last_admitted_at, self.prune_cursor, self.data_version) = before;
            self.roll_back();
        }
        result
    }

    fn begin(&self, writes: bool) -> Result<(), Error> {
        sql::execute(&self.conn, if writes { "BEGIN IMMEDIATE" } else { "BEGIN" }, [])?;
        let is_owner = meta::get(&self.conn, "generation")? == self.generation;
        if is_owner { Ok(()) } else { Err(Error::Fenced) }
    }

    fn roll_back(&mut self) {
        self.recent_ids.rollback();
        self.held_watermark.rollback();
        // After some errors SQLite has already rolled back.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back a transaction of the queue");
        }
    }

    /// Returns the time for an admission, which is never earlier than the last admission time.
    pub(super) fn admission_time(&mut self) -> UnixMicros {
        self.last_admitted_at = self.last_admitted_at.max(self.clock.admission());
        self.last_admitted_at
    }

    /// Returns whether another connection has written to the queue since the last call.
    pub(super) fn changed_elsewhere(&mut self) -> Result<bool, Error> {
        let now = data_version(&self.conn)?;
        Ok(std::mem::replace(&mut self.data_version, now) != now)
    }
}

/// Returns the sequence number of the next event, and the time at which the newest event was admitted.
fn load_next_seq(conn: &Connection) -> rusqlite::Result<(i64, UnixMicros)> {
    let newest = "SELECT seq + 1, admitted_at FROM events ORDER BY seq DESC LIMIT 1";
    let found = sql::first(conn, newest, [], |row| Ok((row.get(0)?, UnixMicros(row.get(1)?))))?;
    Ok(found.unwrap_or((1, UnixMicros::default())))
}

/// Returns a number that changes when another connection commits.
fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    sql::value(conn, "PRAGMA data_version", [])
}

fn load_recent_ids(conn: &Connection, next_seq: i64) -> Result<RecentIds, Error> {
    let window = i64::try_from(DEDUP_WINDOW_EVENTS).expect("a window fits in memory");
    let mut recent_ids = RecentIds::default();
    let mut newest = conn.prepare("SELECT seq, id FROM events WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = newest.query([next_seq - window])?;
    while let Some(row) = rows.next()? {
        let hash = recent_ids.hash(&sendable_id(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?));
        recent_ids.stage(hash, row.get(0)?);
    }
    recent_ids.commit();
    Ok(recent_ids)
}
