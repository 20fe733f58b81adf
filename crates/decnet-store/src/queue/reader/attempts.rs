//! The attempts of many deliveries, filtered.

use std::fmt;
use std::str::FromStr;

use decnet_core::delivery::Reason;
use decnet_core::limits::{ATTEMPTS_LOOK_ROWS, LIST_STEP_ROWS};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, Row};

use super::super::error::Error;
use super::super::id::{DeliveryId, ParseDeliveryIdError};
use super::super::settle::Attempt;
use super::detail;
use super::list::{JOIN, first_since, step_before};

/// Which attempts to list; all of them by default.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Only to the subscription with this uuid or this name.
    pub subscription: Option<String>,
    /// Only those that failed for this reason.
    pub reason: Option<Reason>,
    /// Only those that were answered with this HTTP status.
    pub status: Option<u16>,
    /// Only of events admitted then or later.
    pub since: Option<UnixMicros>,
    /// Only of events admitted before then.
    pub until: Option<UnixMicros>,
    /// Only ones before this: [`AttemptPage::next`].
    pub before: Option<AttemptRef>,
}

/// A place among all attempts: a delivery, and a number within it. Shown as `1042.0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRef {
    /// The delivery.
    pub delivery: DeliveryId,
    /// The number of its attempt, from 1; 0 is before all of them.
    pub number: u32,
}

/// An attempt in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAttempt {
    /// Of which delivery.
    pub delivery: DeliveryId,
    /// Its subscription's uuid.
    pub subscription_uuid: Box<str>,
    /// Its subscription's name when the worker last saw it.
    pub subscription_name: Box<str>,
    /// Its event's id.
    pub event_id: Box<str>,
    /// Its event's topic.
    pub topic: Box<str>,
    /// What was tried.
    pub attempt: Attempt,
}

/// Some of what a filter describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptPage {
    /// Those of the newest delivery first, and of each the last one first.
    pub attempts: Vec<ListedAttempt>,
    /// Where the next page begins, if there may be one.
    pub next: Option<AttemptRef>,
}

/// A page of at most `limit`, after a look at `ATTEMPTS_LOOK_ROWS` deliveries at most.
pub(super) fn attempts(
    conn: &Connection,
    filter: &AttemptFilter,
    limit: usize,
) -> Result<AttemptPage, Error> {
    let oldest = filter.since.map_or(Ok(0), |since| first_since(conn, since))?;
    let end = filter.until.map_or(Ok(i64::MAX), |until| first_since(conn, until))?;
    let start = filter.before.map_or(i64::MAX, |place| place.delivery.raw() + i64::from(place.number > 0));
    let mut before = start.min(end);
    let mut page = AttemptPage::default();
    for _ in 0..ATTEMPTS_LOOK_ROWS / LIST_STEP_ROWS as usize {
        if before <= oldest {
            return Ok(page);
        }
        let Some(from) = step_before(conn, false, before)? else { return Ok(page) };
        look_between(conn, filter, from.max(oldest), before, limit, &mut page)?;
        if page.next.is_some() {
            return Ok(page);
        }
        before = from;
    }
    page.next = Some(AttemptRef { delivery: DeliveryId::from_raw(before), number: 0 });
    Ok(page)
}

/// One short read; it says where the next page begins if this one is full.
fn look_between(
    conn: &Connection,
    filter: &AttemptFilter,
    from: i64,
    before: i64,
    limit: usize,
    page: &mut AttemptPage,
) -> Result<(), Error> {
    let tx = conn.unchecked_transaction()?;
    let sql = format!(
        "SELECT d.id, s.uuid, s.name, e.id, e.topic FROM deliveries d {JOIN}
         WHERE d.id >= ?1 AND d.id < ?2 AND d.attempts > 0
             AND (?3 IS NULL OR d.sub IN (SELECT key FROM subscriptions WHERE uuid = ?3 OR name = ?3))
         ORDER BY d.id DESC"
    );
    let mut deliveries = tx.prepare_cached(&sql)?;
    let mut rows = deliveries.query((from, before, &filter.subscription))?;
    while let Some(row) = rows.next()? {
        let delivery = DeliveryId::from_raw(row.get(0)?);
        let all = detail::attempts(&tx, delivery)?;
        for attempt in all.into_iter().rev().filter(|attempt| filter.admits(delivery, attempt)) {
            if page.attempts.len() >= limit {
                let last = page.attempts.last();
                page.next =
                    last.map(|last| AttemptRef { delivery: last.delivery, number: last.attempt.number });
                return Ok(());
            }
            page.attempts.push(listed(row, delivery, attempt)?);
        }
    }
    Ok(())
}

fn listed(row: &Row<'_>, delivery: DeliveryId, attempt: Attempt) -> Result<ListedAttempt, Error> {
    Ok(ListedAttempt {
        delivery,
        subscription_uuid: row.get(1)?,
        subscription_name: row.get(2)?,
        event_id: row.get(3)?,
        topic: row.get(4)?,
        attempt,
    })
}

impl AttemptFilter {
    fn admits(&self, delivery: DeliveryId, attempt: &Attempt) -> bool {
        let is_before = |place: AttemptRef| place.delivery != delivery || attempt.number < place.number;
        self.before.is_none_or(is_before)
            && self.reason.is_none_or(|reason| attempt.reason == Some(reason))
            && self.status.is_none_or(|status| attempt.status == Some(status))
    }
}

impl fmt::Display for AttemptRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.delivery, self.number)
    }
}

impl FromStr for AttemptRef {
    type Err = ParseDeliveryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (delivery, number) = text.rsplit_once('.').unwrap_or((text, ""));
        let number = Some(number).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        match number.and_then(|number| number.parse().ok()) {
            Some(number) => Ok(Self { delivery: delivery.parse()?, number }),
            // Says what is wrong with all of it.
            None => Err(DeliveryId::from_str(text).err().unwrap_or_else(|| ParseDeliveryIdError::of(text))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_back_as_written() {
        let place = AttemptRef { delivery: DeliveryId::new(1042, 7), number: 3 };
        assert_eq!(place.to_string(), "1042.7.3");
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in ["", "1042.7", "1042.7.", "1042.7.-1", "1042.7.+1", "a.b.c", "1.2.3.4"] {
            assert!(text.parse::<AttemptRef>().is_err(), "{text}");
        }
    }
}
