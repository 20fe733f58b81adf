//! Submitted events, as the worker takes them: read here, removed by their admission.

use bytes::Bytes;
use decnet_core::event::Event;
use decnet_core::limits::{SUBMITTED_STEP_BYTES, SUBMITTED_STEP_EVENTS};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension as _};

use super::error::Error;
use super::ledger::Ledger;

/// The place of a submitted event in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmissionId(i64);

/// Some submitted events, oldest first; until they are admitted they are there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// At most `SUBMITTED_STEP_EVENTS`.
    pub events: Vec<(SubmissionId, Event)>,
    /// There are others behind them.
    pub more: bool,
    /// How often the subscriptions had been changed, ever, when these were read: what was submitted after a change is
    /// read with a count that includes it.
    pub changes: i64,
}

pub(super) fn submitted(ledger: &mut Ledger) -> Result<Taken, Error> {
    let changes = catalog_changes(&ledger.conn)?;
    let mut oldest = ledger
        .conn
        .prepare_cached("SELECT seq, id, topic, body, submitted_at FROM submitted ORDER BY seq")?;
    let mut rows = oldest.query([])?;
    let (mut taken, mut bytes) = (Taken { changes, ..Taken::default() }, 0);
    while let Some(row) = rows.next()? {
        if taken.events.len() >= SUBMITTED_STEP_EVENTS || bytes >= SUBMITTED_STEP_BYTES {
            taken.more = true;
            break;
        }
        let body = row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?;
        bytes += body.len();
        let (body, at) = (Bytes::copy_from_slice(body), UnixMicros(row.get(4)?));
        let event = Event::stored(row.get(1)?, row.get(2)?, body, at);
        taken.events.push((SubmissionId(row.get(0)?), event));
    }
    Ok(taken)
}

/// How often the subscriptions were changed, ever; see [`super::note_change`].
pub(super) fn catalog_changes(conn: &Connection) -> Result<i64, Error> {
    let mut count = conn.prepare_cached("SELECT value FROM meta WHERE key = 'catalog_changes'")?;
    Ok(count.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// Removes a row of the table, with the admission of its event; returns the bytes of its body, or `None` if it is not there
/// any more. Rows of an earlier version may have an id with a dot, which its event does not have.
pub(super) fn remove(conn: &Connection, id: SubmissionId, event: &Event) -> Result<Option<usize>, Error> {
    let mut delete = conn.prepare_cached(
        "DELETE FROM submitted WHERE seq = ?1 AND (id = ?2 OR instr(id, '.') > 0) RETURNING length(body)",
    )?;
    let bytes = delete.query_row((id.0, &event.id), |row| row.get::<_, u32>(0)).optional()?;
    Ok(bytes.map(|bytes| bytes as usize))
}

/// So many bytes wait no more.
pub(super) fn less(conn: &Connection, bytes: i64) -> Result<(), Error> {
    let mut count =
        conn.prepare_cached("UPDATE meta SET value = max(value - ?1, 0) WHERE key = 'submitted_bytes'")?;
    count.execute([bytes])?;
    Ok(())
}
