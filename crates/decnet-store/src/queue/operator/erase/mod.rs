//! Erase: the payloads of one subscription, or of one event, are gone from the file, while what happened to them stays.
//!
//! Of each delivery stay its row, state, reason and attempts, without what the receiver answered; what still waited is
//! dead (erased). An event's body is overwritten when nobody else is still owed it: SQLite zeroes what it frees
//! (`secure_delete`), [`Operator::give_back`] gives free pages back to the disk, [`Operator::empty_log`] empties the log.
//!
//! The worker may hold what was erased in memory; `meta.erasures` counts, and when it looks and finds another number it
//! puts back what it holds, so that nothing but requests in flight goes out. A settlement of what is dead changes
//! nothing.

use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_core::limits::{LIST_STEP_ROWS, OPERATOR_STEP_ROWS};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::submitted;
use super::Operator;

/// Whose payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erase {
    /// What was for the subscription with this uuid, whether it is still in the catalog or not.
    Subscription(String),
    /// Every event with this id, to whomever it went.
    Event(String),
}

/// What was erased so far, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Deliveries without their payload now.
    pub deliveries: u64,
    /// Those of them that still waited: they are dead.
    pub given_up: u64,
    /// Bodies overwritten.
    pub events: u64,
    /// Bodies that stay, since other subscriptions are still owed them: erase again when they have got them.
    pub shared: u64,
    /// Submitted events that no worker had taken yet, removed.
    pub submitted: u64,
}

/// An erasure, step by step: what was admitted before it began.
#[derive(Debug)]
pub struct Erasure {
    what: Chosen,
    /// Deliveries from there on were seen to.
    before: i64,
    done: Erased,
    dry_run: bool,
}

#[derive(Debug)]
enum Chosen {
    /// The queue's number of it.
    Subscription(u32),
    Event(String),
}

/// Steps that a checkpoint is tried while another one is under way.
const CHECKPOINT_TRIES: u32 = 50;
const CHECKPOINT_PAUSE: Duration = Duration::from_millis(100);
/// Free pages given back to the disk in one transaction.
const VACUUM: &str = "PRAGMA incremental_vacuum(256)";

impl Erasure {
    /// Nothing is done yet. None if the queue knows no such subscription; an event is looked for by the steps. With
    /// `dry_run` the steps only count.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin(operator: &Operator, what: Erase, dry_run: bool) -> Result<Option<Self>, Error> {
        let conn = &operator.conn;
        let what = match what {
            Erase::Event(id) => Chosen::Event(id),
            Erase::Subscription(uuid) => {
                let find = "SELECT key FROM subscriptions WHERE uuid = ?1";
                match conn.query_row(find, [uuid], |row| row.get(0)).optional()? {
                    Some(key) => Chosen::Subscription(key),
                    None => return Ok(None),
                }
            }
        };
        conn.pragma_update_and_check(None, "secure_delete", "ON", |_| Ok(()))?;
        let newest: Option<i64> = conn.query_row("SELECT max(id) FROM deliveries", [], |row| row.get(0))?;
        let before = newest.map_or(0, |id| id + 1);
        Ok(Some(Self { what, before, done: Erased::default(), dry_run }))
    }

    /// What is done so far.
    #[must_use]
    pub fn done(&self) -> &Erased {
        &self.done
    }

    /// One bounded step; false if all is done. Tell the worker, by
    /// [`CHANGED_TOPIC`](decnet_core::topic::own::CHANGED_TOPIC), after the last.
    ///
    /// # Errors
    /// See [`Error`]; the step can be taken again.
    pub fn step(&mut self, operator: &mut Operator, now: UnixMicros) -> Result<bool, Error> {
        let ids = self.next(&operator.conn)?;
        let Some((from, ids)) = ids else {
            if let Chosen::Event(id) = &self.what {
                self.done.submitted += take_back(&mut operator.conn, id, self.dry_run)?;
            }
            return Ok(false);
        };
        if !ids.is_empty() {
            let tx = operator.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut done = self.done;
            let is_last = match self.what {
                Chosen::Subscription(_) => true,
                Chosen::Event(_) => DeliveryId::from_raw(from).number() == 0,
            };
            self.what.erase(&tx, &ids, is_last, now, &mut done)?;
            if self.dry_run {
                tx.rollback()?;
            } else {
                commit(tx)?;
            }
            self.done = done;
        }
        self.before = from;
        Ok(true)
    }
}

impl Erasure {
    /// The deliveries of the next step, and where it begins; none when all were looked at.
    fn next(&self, conn: &Connection) -> Result<Option<(i64, Vec<DeliveryId>)>, Error> {
        if self.before <= 0 {
            return Ok(None);
        }
        match &self.what {
            Chosen::Subscription(sub) => of_subscription(conn, *sub, self.before),
            Chosen::Event(id) => of_event(conn, id, self.before),
        }
    }
}

/// Among the `LIST_STEP_ROWS` deliveries before, a few of the subscription's.
fn of_subscription(
    conn: &Connection,
    sub: u32,
    before: i64,
) -> Result<Option<(i64, Vec<DeliveryId>)>, Error> {
    let mut start = conn.prepare_cached(
        "SELECT min(id) FROM (SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT ?2)",
    )?;
    let Some(from) = start.query_row((before, LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(None);
    };
    let mut find = conn.prepare_cached(
        "SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 AND +sub = ?3 ORDER BY id DESC LIMIT ?4",
    )?;
    let found = find.query_map((from, before, sub, OPERATOR_STEP_ROWS as i64), |row| row.get(0))?;
    let ids: Vec<i64> = found.collect::<Result<_, _>>()?;
    let is_cut = ids.len() == OPERATOR_STEP_ROWS;
    let from = ids.last().copied().filter(|_| is_cut).unwrap_or(from);
    Ok(Some((from, ids.into_iter().map(DeliveryId::from_raw).collect())))
}

/// A few deliveries of the newest event with this id whose deliveries were not seen to.
fn of_event(conn: &Connection, id: &str, before: i64) -> Result<Option<(i64, Vec<DeliveryId>)>, Error> {
    let last = DeliveryId::from_raw(before - 1);
    let mut start = conn.prepare_cached(
        "SELECT min(seq) FROM (SELECT seq FROM events WHERE seq <= ?1 ORDER BY seq DESC LIMIT ?2)",
    )?;
    let Some(from) = start.query_row((last.seq(), LIST_STEP_ROWS), |row| row.get::<_, Option<i64>>(0))?
    else {
        return Ok(None);
    };
    let mut find =
        conn.prepare_cached("SELECT max(seq) FROM events WHERE seq >= ?1 AND seq <= ?2 AND id = ?3")?;
    let Some(seq) = find.query_row((from, last.seq(), id), |row| row.get::<_, Option<i64>>(0))? else {
        return Ok(Some((DeliveryId::new(from, 0).raw(), Vec::new())));
    };
    let first = DeliveryId::new(seq, 0).raw();
    let mut find = conn
        .prepare_cached("SELECT id FROM deliveries WHERE id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3")?;
    let end = before.min(DeliveryId::new(seq, 0).last_of_event().raw() + 1);
    let found = find.query_map((first, end, OPERATOR_STEP_ROWS as i64), |row| row.get(0))?;
    let ids: Vec<i64> = found.collect::<Result<_, _>>()?;
    let is_cut = ids.len() == OPERATOR_STEP_ROWS;
    let from = ids.last().copied().filter(|_| is_cut).unwrap_or(first);
    Ok(Some((from, ids.into_iter().map(DeliveryId::from_raw).collect())))
}

/// Takes out of the table what no worker has admitted yet.
fn take_back(conn: &mut Connection, id: &str, dry_run: bool) -> Result<u64, Error> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut bytes = Vec::<i64>::new();
    {
        let mut delete = tx.prepare_cached("DELETE FROM submitted WHERE id = ?1 RETURNING length(body)")?;
        let mut rows = delete.query([id])?;
        while let Some(row) = rows.next()? {
            bytes.push(row.get(0)?);
        }
    }
    submitted::less(&tx, bytes.iter().sum())?;
    // Where nothing was taken, there is nothing that the worker must notice.
    if dry_run || bytes.is_empty() {
        tx.rollback()?;
    } else {
        commit(tx)?;
    }
    Ok(bytes.len() as u64)
}

/// With the number by which the worker notices.
fn commit(tx: Transaction<'_>) -> Result<(), Error> {
    tx.execute("UPDATE meta SET value = value + 1 WHERE key = 'erasures'", [])?;
    Ok(tx.commit()?)
}

impl Chosen {
    /// `is_last` says that no older delivery of the last event is to come.
    fn erase(
        &self,
        conn: &Connection,
        ids: &[DeliveryId],
        is_last: bool,
        now: UnixMicros,
        done: &mut Erased,
    ) -> Result<(), Error> {
        for id in ids {
            forget_replies(conn, *id)?;
            done.deliveries += 1;
            done.given_up += self.give_up(conn, *id, now)?;
        }
        // Ids descend: those of one event stand together.
        let mut events: Vec<i64> = ids.iter().map(|id| id.seq()).collect();
        events.dedup();
        for seq in events {
            erase_body(conn, seq, is_last, done)?;
        }
        Ok(())
    }

    /// What waits is dead. Of a subscription, whatever waits of the same event: nothing may wait for an empty body.
    fn give_up(&self, conn: &Connection, id: DeliveryId, now: UnixMicros) -> Result<u64, Error> {
        let (first, last, sub) = match self {
            Self::Event(_) => (id, id, None),
            Self::Subscription(sub) => (DeliveryId::new(id.seq(), 0), id.last_of_event(), Some(sub)),
        };
        let mut end = conn.prepare_cached(
            "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?3, reason = ?4
             WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?5 IS NULL OR sub = ?5)",
        )?;
        Ok(end.execute((first.raw(), last.raw(), now.0, Reason::Erased.code(), sub))? as u64)
    }
}

fn forget_replies(conn: &Connection, id: DeliveryId) -> Result<(), Error> {
    for sql in [
        "UPDATE deliveries SET reply = NULL WHERE id = ?1 AND reply IS NOT NULL",
        "UPDATE attempts SET reply = NULL, detail = NULL WHERE delivery = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([id.raw()])?;
    }
    Ok(())
}

/// Unless somebody is still owed it.
fn erase_body(conn: &Connection, seq: i64, is_last: bool, done: &mut Erased) -> Result<(), Error> {
    let first = DeliveryId::new(seq, 0);
    let mut is_owed = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND state < 3)",
    )?;
    if is_owed.query_row((first.raw(), first.last_of_event().raw()), |row| row.get(0))? {
        done.shared += u64::from(is_last);
        return Ok(());
    }
    let mut empty =
        conn.prepare_cached("UPDATE events SET body = x'' WHERE seq = ?1 AND length(body) > 0")?;
    done.events += empty.execute([seq])? as u64;
    Ok(())
}

impl Operator {
    /// One bounded step of giving free pages back to the disk, where earlier payloads may still stand; false if none is
    /// left.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn give_back(&mut self) -> Result<bool, Error> {
        let mut vacuum = self.conn.prepare_cached(VACUUM)?;
        let mut rows = vacuum.query([])?;
        while rows.next()?.is_some() {}
        drop(rows);
        Ok(self.conn.pragma_query_value(None, "freelist_count", |row| row.get::<_, i64>(0))? > 0)
    }

    /// Copies the log into the database and empties it: what stood in its older pages is gone. Blocks, for seconds where
    /// somebody reads. False if somebody read for longer than that; call it again later.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn empty_log(&mut self) -> Result<bool, Error> {
        for _ in 0..CHECKPOINT_TRIES {
            let mut checkpoint = self.conn.prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")?;
            if !checkpoint.query_row([], |row| row.get::<_, bool>(0))? {
                return Ok(true);
            }
            std::thread::sleep(CHECKPOINT_PAUSE);
        }
        Ok(false)
    }
}
