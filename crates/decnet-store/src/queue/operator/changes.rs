//! Changes of the subscriptions, counted in the queue, so that they have a place among the events submitted to it.

use std::path::Path;

use super::super::error::Error;
use super::Operator;

impl Operator {
    /// Counts a change of the subscriptions.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note_change(&mut self) -> Result<(), Error> {
        self.conn.execute(
            "INSERT INTO meta (key, value) VALUES ('catalog_changes', 1)
             ON CONFLICT (key) DO UPDATE SET value = value + 1",
            [],
        )?;
        Ok(())
    }
}

/// Counts a change of the subscriptions in the queue in `dir`. Call it once the change is committed to the catalog: every
/// event that is submitted after this returns is routed by subscriptions that were read after it.
///
/// Does nothing where there is no queue that takes submissions: none at all, or one that an older program has left.
///
/// # Errors
/// The file cannot be opened or written. The change itself stands.
pub fn note_change(dir: &Path) -> Result<(), Error> {
    match Operator::open(dir) {
        Ok(mut operator) => operator.note_change(),
        Err(Error::NoQueue { .. } | Error::OlderSchema { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
