//! Changes of the subscriptions, counted in the queue, so that they are ordered among the submitted events.

use std::path::Path;

use super::super::error::Error;
use super::ExternalWriter;

/// Counts a change of the subscriptions in the queue in `dir`. Call this after the change is committed to the catalog: the worker
/// then routes every event that is submitted later by the subscriptions that it reads after the change.
///
/// Does nothing if no queue exists, or if an older program wrote the queue, so that it does not accept submissions.
///
/// # Errors
/// The file cannot be opened or written. The change itself is committed.
pub fn record_catalog_change(dir: &Path) -> Result<(), Error> {
    let writer = match ExternalWriter::open(dir) {
        Err(Error::NoQueue(_) | Error::OlderSchema(_)) => return Ok(()),
        opened => opened?,
    };
    writer.conn.execute(
        "INSERT INTO meta (key, value) VALUES ('catalog_changes', 1)
         ON CONFLICT (key) DO UPDATE SET value = value + 1",
        [],
    )?;
    Ok(())
}
