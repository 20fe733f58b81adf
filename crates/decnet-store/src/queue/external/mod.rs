//! Writes to the queue by processes and threads other than the worker's writer.
//!
//! - [`record_catalog_change`]: counts a change of the subscriptions;
//! - [`ExternalWriter::submit_all`]: submits events from programs without a bus;
//! - [`ExternalWriter::redeliver`], and [`Redelivery`] for many deliveries: sends old events again;
//! - [`Backfill`]: sends old events to a subscription that did not get them;
//! - [`Erasure`]: erases the payloads of one subscription or one event; [`ExternalWriter::clean_up`] completes it;
//! - [`ExternalWriter::confirm_clock`]: confirms that the system's clock is right.

mod backfill;
mod erase;
mod redeliver;
mod submit;

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use decnet_core::clock::Reading;
use decnet_core::limits::OPERATOR_STEP_ROWS;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::{open_second, path};
use super::error::Error;
use super::id::{DeliveryId, SubscriptionKey};
use super::meta;
use super::times::record_time;
use crate::file_identity::OpenedFile;
use crate::sql;

pub use self::backfill::{Backfill, BackfillTarget, Backfilled};
pub use self::erase::{Erased, Erasure, ErasureTarget};
pub use self::redeliver::{Redelivery, RedeliveryStep};
pub use self::submit::{IdempotencyKey, Submission, Submitted};

/// A writing connection of another process or thread. It needs no lease, because it only adds rows that the worker reads, and
/// never changes a delivery in flight.
#[derive(Debug)]
pub struct ExternalWriter {
    conn: Connection,
    file: OpenedFile,
}

/// The time for which a write waits for a commit of the worker before it fails as busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// The number that is added to the admission order, so that deliveries of old events are queued behind live traffic.
const BEHIND_LIVE: i64 = 1 << 62;
/// The number of steps per second in which old events are queued, chosen so that a receiver does not get many deliveries at once.
const STEPS_PER_SECOND: u32 = 10;

impl ExternalWriter {
    /// Opens the queue in `dir`, with or without a running worker.
    ///
    /// # Errors
    /// The queue does not exist, or its file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let file = OpenedFile::of(&path(dir));
        Ok(Self { conn: open_second(&file.path, BUSY_TIMEOUT)?, file })
    }

    /// Records this reading of the clocks as trusted, even if it deviates from the expected time. A running worker applies it
    /// within a second.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn confirm_clock(&mut self, reading: &Reading) -> Result<(), Error> {
        self.transact(|tx| record_time(tx, reading))
    }

    /// Returns whether the path still leads to the open file. After a restore it leads to another file, and a worker does
    /// not see writes to the open file.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.file.is_current()
    }

    /// Runs `work` in a transaction, like [`Self::write`].
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(|conn| {
            let mut tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let output = work(&mut tx)?;
            tx.commit()?;
            Ok(output)
        })
    }

    /// Runs `work`, which commits a change, and then checks that the path still leads to the changed file.
    ///
    /// # Errors
    /// The errors of `work`, or [`Error::Replaced`].
    fn write<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let output = work(&mut self.conn).map_err(|error| error.at(&self.file.path))?;
        if self.is_current() { Ok(output) } else { Err(Error::Replaced(self.file.path.clone())) }
    }
}

/// Counts a change of the subscriptions in the queue in `dir`, so that the change is ordered among the submitted events. Call this
/// after the change is committed to the catalog: the worker then routes every event that is submitted later by the subscriptions
/// that it reads after the change.
///
/// Does nothing if no queue exists, or if an older program wrote the queue, so that it does not accept submissions.
///
/// # Errors
/// The file cannot be opened or written. The change itself is committed.
pub fn record_catalog_change(dir: &Path) -> Result<(), Error> {
    match ExternalWriter::open(dir) {
        Err(Error::NoQueue(_) | Error::OlderSchema(_)) => Ok(()),
        opened => Ok(meta::increment(&opened?.conn, "catalog_changes")?),
    }
}

/// Inserts a delivery of an old event, queued behind live traffic.
fn insert_behind_live(conn: &Connection, id: DeliveryId, sub: SubscriptionKey) -> rusqlite::Result<()> {
    let insert = "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, 1, 0, ?3)";
    sql::execute(conn, insert, (id.0, sub.0, BEHIND_LIVE + id.0)).map(drop)
}

/// Returns the maximum number of deliveries of a step, which is at least 1.
fn step_rows(rate: NonZeroU32) -> usize {
    OPERATOR_STEP_ROWS.min(rate.get().div_ceil(STEPS_PER_SECOND) as usize)
}

/// Returns the minimum time from the start of a step with this number of deliveries to the start of the next, so that the rate per
/// second is not exceeded.
fn pause_after(deliveries: usize, rate: NonZeroU32) -> Duration {
    Duration::from_secs(deliveries as u64) / rate.get()
}
