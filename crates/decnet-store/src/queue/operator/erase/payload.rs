//! What a step does to an event and some of its deliveries.

use decnet_core::delivery::Reason;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::super::super::error::Error;
use super::super::super::id::DeliveryId;
use super::super::super::memory;
use super::walk::Found;
use super::{Chosen, Erased};

impl Chosen {
    /// What was erased, or would be where there is no `now`, and how many bytes its body has that went with it.
    pub(super) fn see_to(
        &self,
        conn: &Connection,
        event: &Found,
        now: Option<UnixMicros>,
    ) -> Result<(Erased, usize), Error> {
        let given_up = match now {
            Some(now) => {
                event.ids.iter().try_for_each(|id| forget_reply(conn, *id))?;
                self.give_up(conn, event, now)?
            }
            None => self.waiting(conn, event)?,
        };
        let shared = event.is_last && self.is_shared(conn, event.seq)?;
        let bytes = if event.is_last && !shared { body_bytes(conn, event.seq)? } else { 0 };
        if bytes > 0 && now.is_some() {
            erase_body(conn, event.seq)?;
        }
        let deliveries = event.ids.len() as u64;
        let (events, shared) = (u64::from(bytes > 0), u64::from(shared));
        Ok((Erased { deliveries, given_up, events, shared, submitted: 0 }, bytes))
    }

    /// What waits is dead; at an event's last part, whatever waits of it: nothing may wait for an empty body.
    fn give_up(&self, conn: &Connection, event: &Found, now: UnixMicros) -> Result<u64, Error> {
        let (first, last) = if event.is_last { whole(event.seq) } else { reach(event) };
        let mut end = conn.prepare_cached(
            "UPDATE deliveries SET state = 4, due_at = NULL, settled_at = ?3, reason = ?4
             WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?5 IS NULL OR sub = ?5)",
        )?;
        Ok(end.execute((first, last, now.0, Reason::Erased.code(), self.sub()))? as u64)
    }

    /// How many of these deliveries wait.
    fn waiting(&self, conn: &Connection, event: &Found) -> Result<u64, Error> {
        let (first, last) = reach(event);
        let mut count = conn.prepare_cached(
            "SELECT count(*) FROM deliveries
             WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND (?3 IS NULL OR sub = ?3)",
        )?;
        let count = count.query_row((first, last, self.sub()), |row| row.get::<_, i64>(0))?;
        Ok(count.unsigned_abs())
    }

    /// Is somebody else still owed the event?
    fn is_shared(&self, conn: &Connection, seq: i64) -> Result<bool, Error> {
        let Some(sub) = self.sub() else { return Ok(false) };
        let (first, last) = whole(seq);
        let mut owed = conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND state < 3 AND sub <> ?3)",
        )?;
        Ok(owed.query_row((first, last, sub), |row| row.get(0))?)
    }

    fn sub(&self) -> Option<u32> {
        if let Self::Subscription(sub) = self { Some(*sub) } else { None }
    }
}

/// Every id that a delivery of the event can have.
fn whole(seq: i64) -> (i64, i64) {
    let first = DeliveryId::new(seq, 0);
    (first.raw(), first.last_of_event().raw())
}

/// From the oldest to the newest of these deliveries; nothing if there are none.
fn reach(event: &Found) -> (i64, i64) {
    event.ids.first().map_or((0, -1), |newest| (event.oldest(), newest.raw()))
}

fn forget_reply(conn: &Connection, id: DeliveryId) -> Result<(), Error> {
    for sql in [
        "UPDATE deliveries SET reply = NULL, detail = NULL
         WHERE id = ?1 AND (reply IS NOT NULL OR detail IS NOT NULL)",
        "UPDATE attempts SET reply = NULL, detail = NULL WHERE delivery = ?1",
    ] {
        conn.prepare_cached(sql)?.execute([id.raw()])?;
    }
    Ok(())
}

/// With the hash by which its event is known if it is submitted again: that of a short payload can be guessed.
fn erase_body(conn: &Connection, seq: i64) -> Result<(), Error> {
    let mut erase = conn.prepare_cached("UPDATE events SET body = x'' WHERE seq = ?1 RETURNING id")?;
    let id: String = erase.query_row([seq], |row| row.get(0))?;
    memory::forget_content(conn, &id)
}

fn body_bytes(conn: &Connection, seq: i64) -> Result<usize, Error> {
    let mut find = conn.prepare_cached("SELECT coalesce(max(length(body)), 0) FROM events WHERE seq = ?1")?;
    Ok(find.query_row([seq], |row| row.get::<_, u32>(0))? as usize)
}
