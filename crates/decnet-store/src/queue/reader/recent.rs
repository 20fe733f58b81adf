//! The newest events, whatever became of them.

use decnet_core::event::Event;

use super::super::error::Error;
use super::Reader;
use super::event::stored_event;

impl Reader {
    /// Returns the events among the `rows` newest that are not erased, newest first, until their bodies together have more than
    /// `max_bytes`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn recent_events(&self, rows: u32, max_bytes: usize) -> Result<Vec<Event>, Error> {
        let select = "SELECT id, topic, body, admitted_at FROM events ORDER BY seq DESC LIMIT ?1";
        let mut statement = self.conn.prepare_cached(select)?;
        let (mut rows, mut bytes, mut events) = (statement.query([rows])?, 0, Vec::new());
        while let Some(row) = rows.next()? {
            let event = stored_event(row)?;
            bytes += event.body.len();
            if bytes > max_bytes {
                break;
            }
            events.push(event);
        }
        events.retain(|event| !event.body.is_empty());
        Ok(events)
    }
}
