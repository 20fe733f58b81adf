//! Erasure of one event's payload and of some of its deliveries' replies.

use decnet_core::delivery::Reason;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::idempotency;
use super::walk::EventDeliveries;
use super::{Erased, Target};
use crate::sql;

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
        let (first, last) = match event.is_last {
            true => DeliveryId::range_of_event(event.seq),
            false => batch_range(event),
        };
        let end = "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?3, reason = ?4
                   WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?5 IS NULL OR sub = ?5)";
        Ok(sql::execute(conn, end, (first, last, now.0, Reason::Erased.code(), self.sub()))? as u64)
    }

    /// Returns the number of these deliveries that are waiting.
    fn count_waiting(&self, conn: &Connection, event: &EventDeliveries) -> Result<u64, Error> {
        let (first, last) = batch_range(event);
        let count = "SELECT count(*) FROM deliveries
                     WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?3 IS NULL OR sub = ?3)";
        Ok(sql::value::<i64>(conn, count, (first, last, self.sub()))?.unsigned_abs())
    }

    /// Returns whether the event still waits for another subscription.
    fn is_shared(&self, conn: &Connection, seq: i64) -> Result<bool, Error> {
        let Some(sub) = self.sub() else { return Ok(false) };
        let (first, last) = DeliveryId::range_of_event(seq);
        let waits =
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND sub <> ?3)";
        Ok(sql::value(conn, waits, (first, last, sub))?)
    }

    fn sub(&self) -> Option<u32> {
        if let Self::Subscription(sub) = self { Some(*sub) } else { None }
    }
}

/// Returns the oldest and newest of these deliveries; an empty range if there are none.
fn batch_range(event: &EventDeliveries) -> (i64, i64) {
    event.ids.first().map_or((0, -1), |newest| (event.oldest(), newest.0))
}

fn erase_replies(conn: &Connection, id: DeliveryId) -> Result<(), Error> {
    for erase in [
        "UPDATE deliveries SET reply = NULL, detail = NULL
         WHERE id = ?1 AND (reply IS NOT NULL OR detail IS NOT NULL)",
        "UPDATE attempts SET reply = NULL, detail = NULL WHERE delivery = ?1",
    ] {
        sql::execute(conn, erase, [id.0])?;
    }
    Ok(())
}

/// Erases the body of an event, and the content hash for its id, from which a short payload could be guessed.
fn erase_body(conn: &Connection, seq: i64) -> Result<(), Error> {
    let erase = "UPDATE events SET body = x'' WHERE seq = ?1 RETURNING id";
    idempotency::clear_content_hash(conn, &sql::value::<String>(conn, erase, [seq])?)
}

fn body_bytes(conn: &Connection, seq: i64) -> Result<usize, Error> {
    let bytes = "SELECT coalesce(max(length(body)), 0) FROM events WHERE seq = ?1";
    Ok(sql::value::<u32>(conn, bytes, [seq])? as usize)
}
