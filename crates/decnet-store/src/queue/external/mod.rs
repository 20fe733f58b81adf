//! Writes to the queue by processes and threads other than the worker's writer.
//!
//! - [`record_catalog_change`]: counts a change of the subscriptions;
//! - [`ExternalWriter::submit_all`]: submits events from programs without a bus;
//! - [`ExternalWriter::redeliver`], and [`Redelivery`] for many deliveries: sends old events again;
//! - [`Erasure`]: erases the payloads of one subscription or one event; [`ExternalWriter::clean_up`] completes it;
//! - [`ExternalWriter::confirm_clock`]: confirms that the system's clock is right.

mod erase;
mod redeliver;
mod submit;

use std::path::Path;
use std::time::Duration;

use decnet_core::clock::Reading;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::connection::{open_second, path};
use super::error::Error;
use super::meta;
use super::times::record_time;
use crate::file_identity::OpenedFile;

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
        opened => Ok(meta::add(&opened?.conn, "catalog_changes", 1).map(drop)?),
    }
}
