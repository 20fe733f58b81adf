//! What the writer knows: its connection, and what it keeps in memory beside it.

use std::time::{Duration, Instant};

use decnet_core::event::fit_id;
use decnet_core::limits::DEDUP_WINDOW_EVENTS;
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::error::Error;
use super::recent::Recent;
use super::retain::Sweep;
use super::trail::Trail;
use crate::clock::Clock;

/// Changed only inside [`Ledger::transaction`], and rolled back with it: what is tried again begins from the same.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) conn: Connection,
    pub(super) recent: Recent,
    pub(super) trail: Trail,
    /// The next event's sequence number.
    pub(super) next_seq: i64,
    pub(super) sweep: Sweep,
    /// What the last `COMMIT` took.
    pub(super) last_sync: Duration,
    /// Of the file, as retention saw it last.
    pub(super) used_bytes: u64,
    /// Of the last admission: times of admission never run backwards, as ids do not, but when the clock is corrected.
    pub(super) newest: UnixMicros,
    clock: Clock,
    /// Ours; a later owner has a higher one.
    generation: i64,
    /// When another connection's commits were last asked after.
    data_version: i64,
}

impl Ledger {
    /// Takes the queue over from whoever had it before.
    pub(super) fn open(mut conn: Connection, clock: Clock) -> Result<Self, Error> {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let generation = tx.query_row(
            "UPDATE meta SET value = value + 1 WHERE key = 'generation' RETURNING value",
            [],
            |row| row.get(0),
        )?;
        let (next_seq, newest) = after_newest(&tx)?;
        let (trail, held) = Trail::take_over(&tx, next_seq)?;
        tx.commit()?;
        if held > 0 {
            tracing::info!(deliveries = held, "taken over from an earlier worker that was interrupted");
        }
        let recent = load_recent(&conn, next_seq)?;
        let data_version = data_version(&conn)?;
        let sweep = Sweep::default();
        let (last_sync, used_bytes) = (Duration::ZERO, 0);
        Ok(Self {
            conn,
            recent,
            trail,
            next_seq,
            sweep,
            last_sync,
            used_bytes,
            newest,
            clock,
            generation,
            data_version,
        })
    }

    /// Runs `work` in a transaction: all of it is on the disk when this returns, or nothing of it is.
    pub(super) fn transaction<T>(
        &mut self,
        writes: bool,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let before = (self.next_seq, self.newest, self.sweep, self.data_version);
        let done = self.begin(writes).and_then(|()| work(self)).and_then(|done| {
            let swept = if writes { self.trail.sweep(&self.conn)? } else { None };
            let begun = Instant::now();
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            self.last_sync = begun.elapsed();
            self.recent.commit();
            self.trail.commit(swept, self.next_seq);
            Ok(done)
        });
        if done.is_err() {
            (self.next_seq, self.newest, self.sweep, self.data_version) = before;
            self.roll_back();
        }
        done
    }

    fn begin(&self, writes: bool) -> Result<(), Error> {
        self.conn.prepare_cached(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?.execute([])?;
        let generation: i64 = self
            .conn
            .prepare_cached("SELECT value FROM meta WHERE key = 'generation'")?
            .query_row([], |row| row.get(0))?;
        if generation == self.generation { Ok(()) } else { Err(Error::Fenced) }
    }

    fn roll_back(&mut self) {
        self.recent.rollback();
        self.trail.rollback();
        // After some errors SQLite has rolled back by itself.
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// The time of an admission.
    pub(super) fn now(&mut self) -> UnixMicros {
        self.newest = self.newest.max(self.clock.admission());
        self.newest
    }

    /// Has another process written since this was last asked?
    pub(super) fn changed_elsewhere(&mut self) -> Result<bool, Error> {
        let now = data_version(&self.conn)?;
        Ok(std::mem::replace(&mut self.data_version, now) != now)
    }

    /// How often something was erased.
    pub(super) fn erasures(&mut self) -> Result<i64, Error> {
        let mut find = self.conn.prepare_cached("SELECT value FROM meta WHERE key = 'erasures'")?;
        Ok(find.query_row([], |row| row.get(0))?)
    }
}

/// The next event's sequence number, and when the newest was admitted.
fn after_newest(conn: &Connection) -> rusqlite::Result<(i64, UnixMicros)> {
    let newest = "SELECT seq + 1, admitted_at FROM events ORDER BY seq DESC LIMIT 1";
    let found = conn.query_row(newest, [], |row| Ok((row.get(0)?, UnixMicros(row.get(1)?)))).optional()?;
    Ok(found.unwrap_or((1, UnixMicros::default())))
}

/// Counts other connections' commits.
fn data_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn load_recent(conn: &Connection, next_seq: i64) -> Result<Recent, Error> {
    let window = i64::try_from(DEDUP_WINDOW_EVENTS).expect("a window fits in memory");
    let mut recent = Recent::default();
    let mut newest = conn.prepare("SELECT seq, id FROM events WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = newest.query([next_seq - window])?;
    while let Some(row) = rows.next()? {
        let hash = recent.hash(&fit_id(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?));
        recent.stage(hash, row.get(0)?);
    }
    recent.commit();
    Ok(recent)
}
