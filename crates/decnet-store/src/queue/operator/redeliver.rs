//! Redeliver: a new delivery of an old event, behind live traffic. One, several, or all that a filter describes.

mod many;

use decnet_core::limits::MAX_FAN_OUT;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};
use rustc_hash::FxHashSet;

use self::many::Chosen;
use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::state;
use super::Operator;

pub use self::many::{Redelivery, Step};

/// Added to the order of admission: redeliveries wait behind live traffic.
const BEHIND_LIVE: i64 = 1 << 62;

impl Operator {
    /// New deliveries of the same events to the same subscriptions, in one short transaction; their ids follow
    /// the order of `ids`. The caller bounds how many at once, and how fast.
    ///
    /// # Errors
    /// One of them is unknown, erased or not final, or its event can have no more deliveries: then nothing is done.
    pub fn redeliver(&mut self, ids: &[DeliveryId]) -> Result<Vec<DeliveryId>, Error> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let again = ids.iter().map(|id| add(&tx, *id, find(&tx, *id)?)).collect::<Result<Vec<_>, _>>()?;
        tx.commit()?;
        Ok(again)
    }

    /// The same, without those that retention has taken, an erasure has emptied or somebody has sent again since they
    /// were chosen.
    fn redeliver_what_is_left(&mut self, chosen: &[Chosen]) -> Result<Vec<DeliveryId>, Error> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut made = Vec::with_capacity(chosen.len());
        for event in chosen.chunk_by(|one, next| one.id.seq() == next.id.seq()) {
            let mut served = served_since(&tx, event)?;
            for Chosen { id, .. } in event {
                match find(&tx, *id) {
                    Ok(sub) if served.insert(sub) => made.push(add(&tx, *id, sub)?),
                    Ok(_) | Err(Error::UnknownDelivery(_) | Error::Erased(_) | Error::NotFinal(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        tx.commit()?;
        Ok(made)
    }
}

/// To whom deliveries of an event were made since some of it were chosen. Only the new ones are looked at, for an event
/// may have very many.
fn served_since(conn: &Connection, event: &[Chosen]) -> Result<FxHashSet<SubscriptionKey>, Error> {
    let Some(last) = event.iter().map(|chosen| chosen.last_of_event()).min() else {
        return Ok(FxHashSet::default());
    };
    let mut new = conn.prepare_cached("SELECT sub FROM deliveries WHERE id > ?1 AND id <= ?2")?;
    let served =
        new.query_map((last.raw(), last.last_of_event().raw()), |row| row.get(0).map(SubscriptionKey))?;
    Ok(served.collect::<Result<_, _>>()?)
}

/// To whom the event of a delivery would go again.
fn find(conn: &Connection, id: DeliveryId) -> Result<SubscriptionKey, Error> {
    let mut find = conn.prepare_cached(
        "SELECT d.sub, length(e.body) > 0, d.state FROM deliveries d JOIN events e ON e.seq = ?2 WHERE d.id = ?1",
    )?;
    let found = find.query_row((id.raw(), id.seq()), |row| {
        Ok((row.get(0).map(SubscriptionKey)?, row.get::<_, bool>(1)?, state::is_final(row.get(2)?)))
    });
    match found.optional()? {
        None => Err(Error::UnknownDelivery(id)),
        Some((_, _, false)) => Err(Error::NotFinal(id)),
        Some((_, false, _)) => Err(Error::Erased(id)),
        Some((sub, true, true)) => Ok(sub),
    }
}

/// Makes the next delivery of an event.
fn add(conn: &Connection, id: DeliveryId, sub: SubscriptionKey) -> Result<DeliveryId, Error> {
    let mut newest = conn.prepare_cached("SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2")?;
    let range = (id.raw(), id.last_of_event().raw());
    let newest = newest.query_row(range, |row| row.get(0)).map(DeliveryId::from_raw)?;
    if newest.number() + 1 >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    let again = newest.plus(1);
    let mut add = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, 1, 0, ?3)",
    )?;
    add.execute((again.raw(), sub.0, BEHIND_LIVE + again.raw()))?;
    Ok(again)
}
