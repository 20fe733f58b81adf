//! Erasure of one event's payload and of some of its deliveries' replies.

use decnet_core::delivery::Reason;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::idempotency;
use super::walk::EventDeliveries;
use super::{Erased, Target};

impl Target {
    /// Erases an event's deliveries, and its body unless another subscription needs it, and counts them in `done`. Returns the
    /// bytes of the erased body. If `now` is `None`, nothing is written: this is a dry run.
    pub(super) fn erase(
        &self,
        conn: &Connection,
        event: &EventDeliveries,
        now: Option<UnixMicros>,
        done: &mut Erased,
    ) -> Result<usize, Error> {
        done.given_up += match now {
            Some(now) => {
                event.ids.iter().try_for_each(|id| erase_replies(conn, *id))?;
                self.give_up(conn, event, now)?
            }
            None => self.count_waiting(conn, event)?,
        };
        let shared = event.is_last && self.is_shared(conn, event.seq)?;
        let bytes = if event.is_last && !shared { body_bytes(conn, event.seq)? } else { 0 };
        if bytes > 0 && now.is_some() {
            erase_body(conn, event.seq)?;
        }
        done.deliveries += event.ids.len() as u64;
        done.events += u64::from(bytes > 0);
        done.shared += u64::from(shared);
        Ok(bytes)
    }

    /// Changes waiting deliveries to dead. In the last batch of an event these are all waiting deliveries of the event, because
    /// none may wait for an empty body.
    fn give_up(&self, conn: &Connection, event: &EventDeliveries, now: UnixMicros) -> Result<u64, Error> {
        let (first, last) = if event.is_last { event_range(event.seq) } else { batch_range(event) };
        let mut end = conn.prepare_cached(
            "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?3, reason = ?4
             WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?5 IS NULL OR sub = ?5)",
        )?;
        Ok(end.execute((first, last, now.0, Reason::Erased.code(), self.sub()))? as u64)
    }

    /// Returns the number of these deliveries that are waiting.
    fn count_waiting(&self, conn: &Connection, event: &EventDeliveries) -> Result<u64, Error> {
        let (first, last) = batch_range(event);
        let mut count = conn.prepare_cached(
            "SELECT count(*) FROM deliveries
             WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?3 IS NULL OR sub = ?3)",
        )?;
        let count = count.query_row((first, last, self.sub()), |row| row.get::<_, i64>(0))?;
        Ok(count.unsigned_abs())
    }

    /// Returns whether the event still waits for another subscription.
    fn is_shared(&self, conn: &Connection, seq: i64) -> Result<bool, Error> {
        let Some(sub) = self.sub() else { return Ok(false) };
        let (first, last) = event_range(seq);
        let mut waits = conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND sub <> ?3)",
        )?;
        Ok(waits.query_row((first, last, sub), |row| row.get(0))?)
    }

    fn sub(&self) -> Option<u32> {
        if let Self::Subscription(sub) = self { Some(*sub) } else { None }
    }
}

/// Returns the first and last id that a delivery of the event can have.
fn event_range(seq: i64) -> (i64, i64) {
    let first = DeliveryId::new(seq, 0);
    (first.raw(), first.last_of_event().raw())
}

/// Returns the oldest and newest of these deliveries; an empty range if there are none.
fn batch_range(event: &EventDeliveries) -> (i64, i64) {
    event.ids.first().map_or((0, -1), |newest| (event.oldest(), newest.raw()))
}

fn erase_replies(conn: &Connection, id: DeliveryId) -> Result<(), Error> {
    for sql in [
        "UPDATE deliveries SET reply = NULL, detail = NULL
         WHERE id = ?1 AND (reply IS NOT NULL OR detail IS NOT NULL)",
        "UPDATE attempts SET reply = NULL, detail = NULL WHERE delivery = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([id.raw()])?;
    }
    Ok(())
}

/// Erases the body of an event, and the content hash for its id, from which a short payload could be guessed.
fn erase_body(conn: &Connection, seq: i64) -> Result<(), Error> {
    let mut erase = conn.prepare_cached("UPDATE events SET body = x'' WHERE seq = ?1 RETURNING id")?;
    let id: String = erase.query_row([seq], |row| row.get(0))?;
    idempotency::clear_content_hash(conn, &id)
}

fn body_bytes(conn: &Connection, seq: i64) -> Result<usize, Error> {
    let mut find = conn.prepare_cached("SELECT coalesce(max(length(body)), 0) FROM events WHERE seq = ?1")?;
    Ok(find.query_row([seq], |row| row.get::<_, u32>(0))? as usize)
}
