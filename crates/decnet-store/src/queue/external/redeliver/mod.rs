//! Redeliver: creates new deliveries of old events, queued behind live traffic: one, several, or all that match a filter.
//!
//! The row of the old delivery contains the id of the new one. The existence of a later delivery would not be sufficient,
//! because retention may remove the later delivery first.

mod bulk;

use decnet_core::limits::MAX_FAN_OUT;
use rusqlite::{Connection, Row};

use self::bulk::Selected;
use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::reader::ActiveSubscriptions;
use super::super::state;
use super::{ExternalWriter, insert_behind_live};
use crate::sql;

pub use self::bulk::{Redelivery, RedeliveryStep};

/// A delivery that can be redelivered.
struct Redeliverable {
    id: DeliveryId,
    sub: SubscriptionKey,
    /// The last delivery of the event to the subscription: this delivery if it was not redelivered. Retention may have removed
    /// it.
    latest: DeliveryId,
}

impl ExternalWriter {
    /// Creates new deliveries of the same events to the same subscriptions in one short transaction, and returns their ids in
    /// the order of `ids`. `active` contains the existing subscriptions. The caller limits the number and the rate.
    ///
    /// # Errors
    /// A delivery is unknown, erased, not final or to a deleted subscription, or its event cannot have more deliveries. In that
    /// case nothing is done.
    pub fn redeliver(
        &mut self,
        ids: &[DeliveryId],
        active: &ActiveSubscriptions,
    ) -> Result<Vec<DeliveryId>, Error> {
        self.transact(|tx| {
            ids.iter().map(|id| insert_redelivery(tx, &find_redeliverable(tx, *id, active)?)).collect()
        })
    }

    /// Redelivers a selection, except deliveries that retention has removed since the selection, that were erased or redelivered
    /// since, or whose subscription was deleted.
    fn redeliver_remaining(
        &mut self,
        selected: &[Selected],
        active: &ActiveSubscriptions,
    ) -> Result<Vec<DeliveryId>, Error> {
        self.transact(|tx| {
            let mut created = Vec::with_capacity(selected.len());
            for Selected { id, latest } in selected {
                match find_redeliverable(tx, *id, active) {
                    Ok(old) if old.latest <= *latest => created.push(insert_redelivery(tx, &old)?),
                    Ok(_) => {}
                    Err(error) if error.rules_out_redelivery() => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(created)
        })
    }
}

/// Returns the delivery if it can be redelivered and its subscription exists.
fn find_redeliverable(
    conn: &Connection,
    id: DeliveryId,
    active: &ActiveSubscriptions,
) -> Result<Redeliverable, Error> {
    let old = find_final(conn, id)?;
    let sub = "SELECT uuid, name FROM subscriptions WHERE key = ?1";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?));
    match sql::first(conn, sub, [old.sub.0], read)? {
        Some((uuid, name)) if !active.exists(&uuid) => Err(Error::SubscriptionDeleted { delivery: id, name }),
        _ => Ok(old),
    }
}

/// Returns the delivery if it is final and its event was not erased.
fn find_final(conn: &Connection, id: DeliveryId) -> Result<Redeliverable, Error> {
    let find = "SELECT d.sub, length(e.body) > 0, d.state, d.again IS NOT NULL
                FROM deliveries d JOIN events e ON e.seq = ?2 WHERE d.id = ?1";
    let found = sql::first(conn, find, (id.0, id.seq()), |row| {
        let sub = row.get(0).map(SubscriptionKey)?;
        Ok((sub, row.get::<_, bool>(1)?, state::is_final(row.get(2)?), row.get::<_, bool>(3)?))
    });
    match found? {
        None => Err(Error::UnknownDelivery(id)),
        Some((_, _, false, _)) => Err(Error::NotFinal(id)),
        Some((_, false, ..)) => Err(Error::Erased(id)),
        Some((sub, true, true, false)) => Ok(Redeliverable { id, sub, latest: id }),
        Some((sub, true, true, true)) => Ok(Redeliverable { id, sub, latest: latest(conn, id, sub)? }),
    }
}

/// Returns the last known delivery of the event to the subscription. Reads all remaining deliveries of the event.
fn latest(conn: &Connection, id: DeliveryId, sub: SubscriptionKey) -> Result<DeliveryId, Error> {
    let latest = "SELECT max(coalesce(again, id)) FROM deliveries WHERE id BETWEEN ?1 AND ?2 AND sub = ?3";
    let (first, last) = DeliveryId::range_of_event(id.seq());
    Ok(sql::value(conn, latest, (first, last, sub.0)).map(DeliveryId)?)
}

/// Inserts the next delivery of the event, and stores its id in the old delivery and in the latest delivery.
fn insert_redelivery(conn: &Connection, old: &Redeliverable) -> Result<DeliveryId, Error> {
    let newest = "SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2";
    let newest = sql::value(conn, newest, DeliveryId::range_of_event(old.id.seq()));
    let last = newest.map(DeliveryId)?.max(old.latest);
    if last.number() + 1 >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    let new = last.plus(1);
    insert_behind_live(conn, new, old.sub)?;
    let update = "UPDATE deliveries SET again = ?1 WHERE id IN (?2, ?3)";
    sql::execute(conn, update, (new.0, old.id.0, old.latest.0))?;
    Ok(new)
}
