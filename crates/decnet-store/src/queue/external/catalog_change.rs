//! Changes of the subscriptions, counted in the queue, so that they are ordered among the submitted events.

use std::path::Path;

use super::super::error::Error;
use super::ExternalWriter;

/// Counts a change of the subscriptions in the queue in `dir`. Call it after the change is committed to the catalog: the worker
/// then routes every event that is submitted later by subscriptions that it reads after the change.
///
/// Does nothing if there is no queue that accepts submissions: none exists, or an older program wrote it.
///
/// # Errors
/// The file cannot be opened or written. The change itself is committed.
pub fn record_catalog_change(dir: &Path) -> Result<(), Error> {
    match ExternalWriter::open(dir) {
        Ok(writer) => count_change(&writer),
        Err(Error::NoQueue { .. } | Error::OlderSchema { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn count_change(writer: &ExternalWriter) -> Result<(), Error> {
    writer.conn.execute(
        "INSERT INTO meta (key, value) VALUES ('catalog_changes', 1)
         ON CONFLICT (key) DO UPDATE SET value = value + 1",
        [],
    )?;
    Ok(())
}
