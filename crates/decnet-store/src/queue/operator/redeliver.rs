//! Redeliver: a new delivery of an old event, behind live traffic. One, several, or all that a filter describes.
//!
//! The old delivery notes the new one in its row. That a delivery was sent again is not told from a later one that is
//! there, since retention may take that one first.

mod many;

use decnet_core::limits::MAX_FAN_OUT;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use self::many::Chosen;
use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::reader::Active;
use super::super::state;
use super::Operator;

pub use self::many::{Redelivery, Step};

/// Added to the order of admission: redeliveries wait behind live traffic.
const BEHIND_LIVE: i64 = 1 << 62;

/// A delivery that can be sent again.
struct Old {
    id: DeliveryId,
    sub: SubscriptionKey,
    /// The last delivery of its event to its subscription, which retention may have removed: itself, if it was not sent
    /// again.
    latest: DeliveryId,
}

impl Operator {
    /// New deliveries of the same events to the same subscriptions, in one short transaction; their ids follow
    /// the order of `ids`. `active` says which subscriptions exist. The caller bounds how many at once, and how fast.
    ///
    /// # Errors
    /// One of them is unknown, erased, not final or to a deleted subscription, or its event can have no more deliveries:
    /// then nothing is done.
    pub fn redeliver(&mut self, ids: &[DeliveryId], active: &Active) -> Result<Vec<DeliveryId>, Error> {
        self.changing(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let add = |id: &DeliveryId| add(&tx, &find_for(&tx, *id, active)?);
            let again = ids.iter().map(add).collect::<Result<Vec<_>, _>>()?;
            tx.commit()?;
            Ok(again)
        })
    }

    /// Does the same, without those that retention has taken, an erasure has emptied, somebody has sent again or whose
    /// subscription was deleted since they were chosen.
    fn redeliver_what_is_left(
        &mut self,
        chosen: &[Chosen],
        active: &Active,
    ) -> Result<Vec<DeliveryId>, Error> {
        self.changing(|conn| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut made = Vec::with_capacity(chosen.len());
            for Chosen { id, latest } in chosen {
                match find_for(&tx, *id, active) {
                    Ok(old) if old.latest <= *latest => made.push(add(&tx, &old)?),
                    Ok(_) => {}
                    Err(error) if error.rules_out_redelivery() => {}
                    Err(error) => return Err(error),
                }
            }
            tx.commit()?;
            Ok(made)
        })
    }
}

/// Returns the delivery, if it can be sent again and its subscription exists.
fn find_for(conn: &Connection, id: DeliveryId, active: &Active) -> Result<Old, Error> {
    let old = find(conn, id)?;
    let mut sub = conn.prepare_cached("SELECT uuid, name FROM subscriptions WHERE key = ?1")?;
    let sub: Option<(String, Box<str>)> =
        sub.query_row([old.sub.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match sub {
        Some((uuid, name)) if !active.exists(&uuid) => Err(Error::SubscriptionDeleted { delivery: id, name }),
        _ => Ok(old),
    }
}

/// The delivery, if it can be sent again.
fn find(conn: &Connection, id: DeliveryId) -> Result<Old, Error> {
    let mut find = conn.prepare_cached(
        "SELECT d.sub, length(e.body) > 0, d.state, d.again IS NOT NULL
         FROM deliveries d JOIN events e ON e.seq = ?2 WHERE d.id = ?1",
    )?;
    let found = find.query_row((id.raw(), id.seq()), |row| {
        let sub = row.get(0).map(SubscriptionKey)?;
        Ok((sub, row.get::<_, bool>(1)?, state::is_final(row.get(2)?), row.get::<_, bool>(3)?))
    });
    match found.optional()? {
        None => Err(Error::UnknownDelivery(id)),
        Some((_, _, false, _)) => Err(Error::NotFinal(id)),
        Some((_, false, ..)) => Err(Error::Erased(id)),
        Some((sub, true, true, false)) => Ok(Old { id, sub, latest: id }),
        Some((sub, true, true, true)) => Ok(Old { id, sub, latest: latest(conn, id, sub)? }),
    }
}

/// The last delivery that was made of an event to a subscription, as far as those that are left tell. Reads all of the
/// event's.
fn latest(conn: &Connection, id: DeliveryId, sub: SubscriptionKey) -> Result<DeliveryId, Error> {
    let mut latest = conn.prepare_cached(
        "SELECT max(coalesce(again, id)) FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND sub = ?3",
    )?;
    let range = (DeliveryId::new(id.seq(), 0).raw(), id.last_of_event().raw(), sub.0);
    Ok(latest.query_row(range, |row| row.get(0)).map(DeliveryId::from_raw)?)
}

/// Makes the next delivery of an event, and notes it in the old one and in the latest.
fn add(conn: &Connection, old: &Old) -> Result<DeliveryId, Error> {
    let mut newest = conn.prepare_cached("SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2")?;
    let range = (old.id.raw(), old.id.last_of_event().raw());
    let newest = newest.query_row(range, |row| row.get(0)).map(DeliveryId::from_raw)?;
    let last = newest.max(old.latest);
    if last.number() + 1 >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    let again = last.plus(1);
    let mut add = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, 1, 0, ?3)",
    )?;
    add.execute((again.raw(), old.sub.0, BEHIND_LIVE + again.raw()))?;
    let mut note = conn.prepare_cached("UPDATE deliveries SET again = ?1 WHERE id IN (?2, ?3)")?;
    note.execute((again.raw(), old.id.raw(), old.latest.raw()))?;
    Ok(again)
}
