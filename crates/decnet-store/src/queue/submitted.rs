//! Submitted events, as the worker reads them. Their admission removes them.

use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::limits::{SUBMITTED_STEP_BYTES, SUBMITTED_STEP_EVENTS};
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::error::Error;
use super::meta;
use super::writer_state::WriterState;
use crate::sql;

/// The sequence number of a submitted event that is not yet admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(i64);

/// The oldest submitted events. They remain in the queue until they are admitted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SubmittedEvents {
    /// The events, oldest first; at most `SUBMITTED_STEP_EVENTS`.
    pub events: Vec<(SubmissionId, Event)>,
    /// Whether more events follow.
    pub more: bool,
    /// The number of catalog changes when the events were read. It includes every change that was recorded before one of the
    /// events was submitted.
    pub changes: i64,
}

/// Reads up to `SUBMITTED_STEP_EVENTS` events and about `SUBMITTED_STEP_BYTES` of bodies.
pub(super) fn next_submitted(writer: &mut WriterState) -> Result<SubmittedEvents, Error> {
    let changes = meta::get_or_zero(&writer.conn, "catalog_changes")?;
    let mut oldest = writer
        .conn
        .prepare_cached("SELECT seq, id, topic, body, submitted_at FROM submitted ORDER BY seq")?;
    let mut rows = oldest.query([])?;
    let (mut submitted, mut bytes) = (SubmittedEvents { changes, ..SubmittedEvents::default() }, 0);
    while let Some(row) = rows.next()? {
        if submitted.events.len() >= SUBMITTED_STEP_EVENTS || bytes >= SUBMITTED_STEP_BYTES {
            submitted.more = true;
            break;
        }
        let body = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        bytes += body.len();
        let (body, at) = (Bytes::copy_from_slice(body), UnixMicros(row.get(4)?));
        let event = Event::stored(row.get(1)?, row.get(2)?, body, at);
        submitted.events.push((SubmissionId(row.get(0)?), event));
    }
    Ok(submitted)
}

/// Removes a submitted event when it is admitted. Returns the bytes of its body, or `None` if the event no longer exists. Rows of
/// an earlier version may have an id with a dot, which the event does not have.
pub(super) fn remove(conn: &Connection, id: SubmissionId, event: &Event) -> Result<Option<i64>, Error> {
    let delete =
        "DELETE FROM submitted WHERE seq = ?1 AND (id = ?2 OR instr(id, '.') > 0) RETURNING length(body)";
    Ok(sql::find(conn, delete, (id.0, &event.id))?)
}

/// Subtracts `bytes` from the counter of submitted bytes that wait for the worker.
pub(super) fn sub_backlog_bytes(conn: &Connection, bytes: i64) -> Result<(), Error> {
    Ok(meta::add(conn, "submitted_bytes", -bytes).map(drop)?)
}
