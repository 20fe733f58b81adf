//! An operator's hand on the queue, from a process beside the worker.

use std::path::Path;
use std::time::Duration;

use decnet_core::limits::MAX_FAN_OUT;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::connection::{open_second, path};
use super::error::Error;
use super::id::DeliveryId;

/// Added to the order of admission: redeliveries wait behind live traffic.
const BEHIND_LIVE: i64 = 1 << 62;

/// A second process that writes. It needs no lease: it only adds deliveries of events that are there.
#[derive(Debug)]
pub struct Operator {
    conn: Connection,
}

impl Operator {
    /// Opens the queue in `dir`, whether a worker runs or not.
    ///
    /// # Errors
    /// There is no queue, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { conn: open_second(&path(dir), BUSY_TIMEOUT)? })
    }

    /// New deliveries of the same events to the same subscriptions, in one short transaction; their ids follow
    /// the order of `ids`. The caller bounds how many at once, and how fast.
    ///
    /// # Errors
    /// One of them is unknown, or its event can have no more deliveries: then nothing is done.
    pub fn redeliver(&mut self, ids: &[DeliveryId]) -> Result<Vec<DeliveryId>, Error> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let again = ids.iter().map(|id| redeliver_one(&tx, *id)).collect::<Result<Vec<_>, _>>()?;
        tx.commit()?;
        Ok(again)
    }
}

/// How long the worker's commit may take before the operator is told that the queue is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

fn redeliver_one(conn: &Connection, id: DeliveryId) -> Result<DeliveryId, Error> {
    let mut find = conn.prepare_cached("SELECT sub FROM deliveries WHERE id = ?1")?;
    let sub: Option<u32> = find.query_row([id.raw()], |row| row.get(0)).optional()?;
    let sub = sub.ok_or(Error::UnknownDelivery(id))?;
    let mut newest = conn.prepare_cached("SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2")?;
    let last = id.last_of_event();
    let newest = newest.query_row((id.raw(), last.raw()), |row| row.get(0)).map(DeliveryId::from_raw)?;
    if newest.number() + 1 >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    let again = newest.plus(1);
    let mut add = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, 1, 0, ?3)",
    )?;
    add.execute((again.raw(), sub, BEHIND_LIVE + again.raw()))?;
    Ok(again)
}
