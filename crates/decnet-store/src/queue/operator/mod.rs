//! An operator's hand on the queue, from a process or thread beside the worker.
//!
//! - [`note_change`]: the subscriptions have changed;
//! - [`Operator::submit_all`]: events of programs without a bus;
//! - [`Operator::redeliver`], and [`Redelivery`] for many: old events again;
//! - [`Erasure`]: payloads are gone, of one subscription or one event, and [`Operator::clean_up`] after it;
//! - [`Operator::confirm_clock`]: the system's clock is right after all.

mod changes;
mod erase;
mod redeliver;
mod submit;

use std::path::Path;
use std::time::Duration;

use decnet_core::clock::Reading;
use rusqlite::{Connection, TransactionBehavior};

use super::connection::{open_second, path};
use super::error::Error;
use super::times::note_time;
use crate::origin::Origin;

pub use self::changes::note_change;
pub use self::erase::{Erase, Erased, Erasure};
pub use self::redeliver::{Redelivery, Step};
pub use self::submit::{IdempotencyKey, Submission, Submitted};

/// A second process that writes. It needs no lease: it adds what the worker takes, and never changes what is in flight.
#[derive(Debug)]
pub struct Operator {
    conn: Connection,
    origin: Origin,
}

/// How long the worker's commit may take before the operator is told that the queue is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Operator {
    /// Opens the queue in `dir`, whether a worker runs or not.
    ///
    /// # Errors
    /// There is no queue, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let origin = Origin::of(&path(dir));
        Ok(Self { conn: open_second(origin.path(), BUSY_TIMEOUT)?, origin })
    }

    /// Notes that the wall clock is right at this reading, whatever was expected of it. A worker that runs sees it within a
    /// second.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn confirm_clock(&mut self, reading: &Reading) -> Result<(), Error> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        note_time(&tx, reading)?;
        Ok(tx.commit()?)
    }

    /// Returns whether the file is still the one in its directory. A queue that was restored is another file: what is written
    /// here then is in the one that was moved away, where no worker looks.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.origin.is_current()
    }

    /// Carries out a change, which is committed when `work` returns, and makes sure that it is in the file that others see.
    ///
    /// # Errors
    /// Those of `work`, or [`Error::Replaced`].
    fn changing<T>(&mut self, work: impl FnOnce(&mut Connection) -> Result<T, Error>) -> Result<T, Error> {
        let done = work(&mut self.conn).map_err(|error| error.at(self.origin.path()))?;
        if self.is_current() { Ok(done) } else { Err(Error::Replaced { path: self.origin.path().into() }) }
    }
}
