//! Redeliver: a new delivery of an old event, behind live traffic. One, several, or all that a filter describes.

use decnet_core::limits::{MAX_FAN_OUT, MAX_REDELIVERY, OPERATOR_STEP_ROWS};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::reader::{Filter, Listed, Reader};
use super::super::state;
use super::Operator;

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
        let again = ids.iter().map(|id| redeliver_one(&tx, *id)).collect::<Result<Vec<_>, _>>()?;
        tx.commit()?;
        Ok(again)
    }

    /// The same, without those that retention has taken or an erasure has emptied since they were chosen.
    fn redeliver_what_is_left(&mut self, ids: &[DeliveryId]) -> Result<Vec<DeliveryId>, Error> {
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut again = Vec::with_capacity(ids.len());
        for id in ids {
            match redeliver_one(&tx, *id) {
                Ok(id) => again.push(id),
                Err(Error::UnknownDelivery(_) | Error::Erased(_) | Error::NotFinal(_)) => {}
                Err(error) => return Err(error),
            }
        }
        tx.commit()?;
        Ok(again)
    }
}

/// A redelivery of many, step by step. What is chosen is chosen once: new deliveries are never among it.
///
/// The caller takes one step after the other, waits between them as it likes, shows how far it is, and ends it by
/// taking no more. A dry run is one without steps.
#[derive(Debug, Clone)]
pub struct Redelivery {
    /// Oldest first, so that they go out in their order.
    chosen: Vec<DeliveryId>,
    done: usize,
    not_final: usize,
}

impl Redelivery {
    /// Of what `filter` describes, as far as it is final; what is not is skipped and counted, for it still goes out by
    /// itself. The filter's `limit` takes the newest. None where `go_on`, which is asked before each of many short reads,
    /// says no.
    ///
    /// # Errors
    /// More than `MAX_REDELIVERY`, or see [`Error`].
    pub fn choose(reader: &Reader, filter: &Filter, go_on: impl Fn() -> bool) -> Result<Option<Self>, Error> {
        let mut choice = Self { chosen: Vec::new(), done: 0, not_final: 0 };
        let most = filter.limit.unwrap_or(usize::MAX);
        let mut filter = filter.clone();
        while choice.total() < most {
            if !go_on() {
                return Ok(None);
            }
            filter.limit = Some(PAGE.min(most - choice.total()));
            let page = reader.page(&filter)?;
            for listed in &page.deliveries {
                choice.look_at(listed);
            }
            if choice.total() > MAX_REDELIVERY {
                return Err(Error::TooManyChosen);
            }
            let Some(next) = page.next else { break };
            filter.before = Some(next);
        }
        choice.chosen.reverse();
        Ok(Some(choice))
    }

    fn look_at(&mut self, listed: &Listed) {
        if listed.state.is_final() {
            self.chosen.push(listed.id);
        } else {
            self.not_final += 1;
        }
    }

    /// Of these, all of which are there and final.
    ///
    /// # Errors
    /// One that is not, or see [`Error`].
    pub fn of(ids: Vec<DeliveryId>, reader: &Reader) -> Result<Self, Error> {
        for id in &ids {
            if !reader.is_final(*id)?.ok_or(Error::UnknownDelivery(*id))? {
                return Err(Error::NotFinal(*id));
            }
        }
        Ok(Self { chosen: ids, done: 0, not_final: 0 })
    }

    /// How many the filter described that were not final, and were therefore skipped.
    #[must_use]
    pub fn not_final(&self) -> usize {
        self.not_final
    }

    /// How many were chosen.
    #[must_use]
    pub fn total(&self) -> usize {
        self.chosen.len()
    }

    /// How many of them were seen to.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// The next few, in one short transaction: their new deliveries, or none if all were seen to. What was removed or
    /// erased since it was chosen has none.
    ///
    /// # Errors
    /// See [`Error`]; the step can be taken again.
    pub fn step(&mut self, operator: &mut Operator) -> Result<Option<Vec<DeliveryId>>, Error> {
        let rest = &self.chosen[self.done..];
        if rest.is_empty() {
            return Ok(None);
        }
        let step = &rest[..rest.len().min(OPERATOR_STEP_ROWS)];
        let made = operator.redeliver_what_is_left(step)?;
        self.done += step.len();
        Ok(Some(made))
    }
}

/// Deliveries looked at in one go.
const PAGE: usize = 1000;

fn redeliver_one(conn: &Connection, id: DeliveryId) -> Result<DeliveryId, Error> {
    let mut find = conn.prepare_cached(
        "SELECT d.sub, length(e.body) > 0, d.state FROM deliveries d JOIN events e ON e.seq = ?2 WHERE d.id = ?1",
    )?;
    let found = find.query_row((id.raw(), id.seq()), |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, bool>(1)?, state::is_final(row.get(2)?)))
    });
    let (sub, is_there, is_final) = found.optional()?.ok_or(Error::UnknownDelivery(id))?;
    if !is_final {
        return Err(Error::NotFinal(id));
    }
    if !is_there {
        return Err(Error::Erased(id));
    }
    let mut newest = conn.prepare_cached("SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2")?;
    let last = id.last_of_event();
    let newest = newest.query_row((id.raw(), last.raw()), |row| row.get(0)).map(DeliveryId::from_raw)?;
    if newest.number() + 1 >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    let again = newest.plus(1);
    let mut add = conn.prepare_cached(
        "INSERT INTO deliveries (id, sub, state, attempts, due_at) VALUES (?1, ?2, 1, 0, ?3)",
    )?;
    add.execute((again.raw(), sub, BEHIND_LIVE + again.raw()))?;
    Ok(again)
}
