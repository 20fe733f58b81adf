//! An operator's hand on the queue, from a process or thread beside the worker.
//!
//! - [`Operator::submit`]: events of programs without a bus;
//! - [`Operator::redeliver`], and [`Redelivery`] for many: old events again;
//! - [`Erasure`]: payloads are gone, of one subscription or one event, and [`Operator::clean_up`] after it.

mod erase;
mod redeliver;
mod submit;

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;

use super::connection::{open_second, path};
use super::error::Error;

pub use self::erase::{Erase, Erased, Erasure};
pub use self::redeliver::{Redelivery, Step};
pub use self::submit::{IdempotencyKey, Submission, Submitted};

/// A second process that writes. It needs no lease: it adds what the worker takes, and never changes what is in flight.
#[derive(Debug)]
pub struct Operator {
    conn: Connection,
}

/// How long the worker's commit may take before the operator is told that the queue is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

impl Operator {
    /// Opens the queue in `dir`, whether a worker runs or not.
    ///
    /// # Errors
    /// There is no queue, or the file cannot be used.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        Ok(Self { conn: open_second(&path(dir), BUSY_TIMEOUT)? })
    }
}
