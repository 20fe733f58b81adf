//! Backfill: creates deliveries of stored events to a subscription that did not get them, queued behind live traffic.
//!
//! An event is skipped if the subscription has a delivery of it, in any state. Retention removes deliveries before the last one of an
//! event: of the events up to the position that it has reached, it is unknown whether the subscription got them, and they are
//! skipped too. Thus a backfill can be repeated, interrupted, or run twice at once, and no event is sent twice.
//!
//! The events are walked in the order of admission, in steps. A step finds a few events in short reads, evaluates severity floor and
//! filter without a transaction, and creates the deliveries in one short transaction, which checks each event again.

use std::num::NonZeroU32;
use std::time::Duration;

use decnet_core::event::Event;
use decnet_core::limits::{ERASURE_STEP_BYTES, MAX_FAN_OUT, OPERATOR_STEP_ROWS};
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, matches};
use rusqlite::Connection;

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::meta;
use super::super::prune::REMOVED_UP_TO;
use super::super::reader::{Reader, admitted_event, first_since};
use super::{ExternalWriter, insert_behind_live, pause_after, step_rows};
use crate::delivery_rules::RuleResult;
use crate::sql;

/// The subscription of a backfill, and the events that it may get.
#[derive(Debug, Clone)]
pub struct BackfillTarget {
    /// The UUID of the subscription.
    pub uuid: Box<str>,
    /// The name of the subscription.
    pub name: Box<str>,
    /// The patterns of the topics.
    pub patterns: Vec<Pattern>,
    /// The events were admitted at this time or later.
    pub since: UnixMicros,
    /// The events were admitted before this time; `None` for all events that are stored now.
    pub until: Option<UnixMicros>,
    /// The maximum number of new deliveries; unlimited if `None`.
    pub limit: Option<u64>,
}

/// The events that a backfill has processed, of those whose topic matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backfilled {
    /// Events with a new delivery; of a dry run, events that would get one.
    pub made: u64,
    /// Events that the severity floor or the filter excludes.
    pub excluded: u64,
    /// Events for which the filter cannot be evaluated.
    pub failed: u64,
    /// Events with an earlier delivery to the subscription, in any state.
    pub existing: u64,
    /// Events whose payload was erased.
    pub erased: u64,
    /// Events some of whose deliveries retention has removed, possibly one to the subscription.
    pub unknown: u64,
}

/// A backfill, step by step. Each step processes the next events.
///
/// The caller runs one step after the other, waits between them for the returned pause, and may stop at any time. A later backfill
/// continues. Operational events of the worker are left out.
#[derive(Debug, Clone)]
pub struct Backfill {
    target: BackfillTarget,
    /// The sequence number of the first event of the backfill.
    first: i64,
    /// The sequence number at which the next step begins.
    next: i64,
    /// The sequence number at which the backfill ends. It does not include later events, which the worker routes.
    end: i64,
    done: Backfilled,
}

/// The result of a read: the events that are to be delivered, the position after it, and all events so far.
struct Found {
    events: Vec<i64>,
    next: i64,
    done: Backfilled,
}

/// An event of a page.
struct Candidate {
    seq: i64,
    topic: Box<str>,
    is_operational: bool,
}

/// What is known of the delivery of an event to the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EventStatus {
    Undelivered,
    Existing,
    Erased,
    Unknown,
    /// Retention has removed the event.
    Removed,
}

const PAGE: &str =
    "SELECT seq, topic, operational FROM events WHERE seq >= ?1 AND seq < ?2 ORDER BY seq LIMIT ?3";
const EVENT_STATUS: &str = "SELECT length(body) > 0,
        EXISTS (SELECT 1 FROM deliveries WHERE id BETWEEN ?2 AND ?3 AND sub = ?4)
    FROM events WHERE seq = ?1";
const LAST: &str = "SELECT max(id) FROM deliveries WHERE id BETWEEN ?1 AND ?2";

impl Backfill {
    /// Creates a backfill without running a step.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn begin(reader: &Reader, target: BackfillTarget) -> Result<Self, Error> {
        let seq_since = |at| first_since(&reader.conn, at).map(|id| DeliveryId(id).seq());
        let newest: Option<i64> = sql::value(&reader.conn, "SELECT max(seq) FROM events", [])?;
        let end = newest.map_or(0, |newest| newest + 1);
        let end = target.until.map_or(Ok(end), |until| seq_since(until).map(|until| until.min(end)))?;
        let oldest: Option<i64> = sql::value(&reader.conn, "SELECT min(seq) FROM events", [])?;
        let first = seq_since(target.since)?.max(oldest.unwrap_or(0)).min(end);
        Ok(Self { target, first, next: first, end, done: Backfilled::default() })
    }

    /// Returns the events that the steps have processed.
    #[must_use]
    pub fn done(&self) -> &Backfilled {
        &self.done
    }

    /// Returns the number of positions that the steps have passed, of [`Self::length`].
    #[must_use]
    pub fn position(&self) -> u64 {
        (self.next - self.first).unsigned_abs()
    }

    /// Returns the number of positions of the queue from the first to the last event, including those of removed events.
    #[must_use]
    pub fn length(&self) -> u64 {
        (self.end - self.first).unsigned_abs()
    }

    /// Processes the next events. Returns the minimum time until the next step, or `None` if there are no more events or the limit is
    /// reached. `apply_rules` decides by severity floor and filter. Without a `writer` nothing is created. A step creates at most as many
    /// deliveries as `rate` allows in a tenth of a second, and at least one.
    ///
    /// # Errors
    /// An event cannot have more deliveries, or see [`Error`]. The step changed nothing and can be repeated.
    pub fn step(
        &mut self,
        reader: &Reader,
        writer: Option<&mut ExternalWriter>,
        rate: NonZeroU32,
        apply_rules: impl FnMut(&Event) -> RuleResult,
    ) -> Result<Option<Duration>, Error> {
        let left = self.target.limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.done.made));
        if self.next >= self.end || left == 0 {
            return Ok(None);
        }
        let max = step_rows(rate).min(usize::try_from(left).unwrap_or(usize::MAX));
        let Found { events, next, mut done } = self.find(&reader.conn, max, apply_rules)?;
        let made = writer.map_or(Ok(events.len()), |writer| writer.backfill(&events, &self.target))?;
        done.made += made as u64;
        // Another backfill, or retention, was faster.
        done.existing += (events.len() - made) as u64;
        (self.next, self.done) = (next, done);
        Ok(Some(pause_after(made, rate)))
    }

    /// Finds the next events, at most `max`, among the next `OPERATOR_STEP_ROWS` events of the queue and about
    /// `ERASURE_STEP_BYTES` of bodies.
    fn find(
        &self,
        conn: &Connection,
        max: usize,
        mut apply_rules: impl FnMut(&Event) -> RuleResult,
    ) -> Result<Found, Error> {
        let (sub, removed) = (key(conn, &self.target)?, meta::get_or_zero(conn, REMOVED_UP_TO)?);
        let (page, end) = self.page(conn)?;
        let mut found = Found { events: Vec::new(), next: end, done: self.done };
        let mut bytes = 0;
        for Candidate { seq, topic, is_operational } in page {
            if found.events.len() >= max || bytes >= ERASURE_STEP_BYTES {
                found.next = seq;
                break;
            }
            if is_operational || !self.matches(&topic) {
                continue;
            }
            match event_status(conn, seq, sub, removed)? {
                EventStatus::Undelivered => {
                    let Some(event) = admitted_event(conn, seq)? else { continue };
                    bytes += event.body.len();
                    match apply_rules(&event) {
                        RuleResult::Delivered => found.events.push(seq),
                        RuleResult::BelowFloor { .. } | RuleResult::FilteredOut => found.done.excluded += 1,
                        RuleResult::Failed(_) => found.done.failed += 1,
                    }
                }
                EventStatus::Existing => found.done.existing += 1,
                EventStatus::Erased => found.done.erased += 1,
                EventStatus::Unknown => found.done.unknown += 1,
                EventStatus::Removed => {}
            }
        }
        Ok(found)
    }

    /// Reads the next events without their bodies, and returns the position after them.
    fn page(&self, conn: &Connection) -> Result<(Vec<Candidate>, i64), Error> {
        let page = sql::all(conn, PAGE, (self.next, self.end, OPERATOR_STEP_ROWS as i64), |row| {
            let is_operational = row.get::<_, Option<bool>>(2)?.unwrap_or(false);
            Ok(Candidate { seq: row.get(0)?, topic: row.get(1)?, is_operational })
        })?;
        let last = page.last().filter(|_| page.len() == OPERATOR_STEP_ROWS);
        let end = last.map_or(self.end, |last| last.seq + 1);
        Ok((page, end))
    }

    fn matches(&self, topic: &str) -> bool {
        self.target.patterns.iter().any(|pattern| matches(pattern.as_str(), topic))
    }
}

impl ExternalWriter {
    /// Creates the deliveries of events to the subscription in one transaction, except of events that it has got since they were
    /// found. Returns the number of new deliveries.
    fn backfill(&mut self, events: &[i64], target: &BackfillTarget) -> Result<usize, Error> {
        if events.is_empty() {
            return Ok(0);
        }
        self.transact(|tx| {
            let sub = register(tx, target)?;
            let removed = meta::get_or_zero(tx, REMOVED_UP_TO)?;
            let mut made = 0;
            for seq in events {
                if event_status(tx, *seq, Some(sub), removed)? == EventStatus::Undelivered {
                    insert(tx, *seq, sub)?;
                    made += 1;
                }
            }
            Ok(made)
        })
    }
}

/// Returns the key of the subscription, if the queue has one.
fn key(conn: &Connection, target: &BackfillTarget) -> rusqlite::Result<Option<SubscriptionKey>> {
    let key: Option<u32> = sql::find(conn, "SELECT key FROM subscriptions WHERE uuid = ?1", [&target.uuid])?;
    Ok(key.map(SubscriptionKey))
}

/// Returns the key of the subscription. A subscription that no worker has loaded yet gets one here.
fn register(conn: &Connection, target: &BackfillTarget) -> rusqlite::Result<SubscriptionKey> {
    let add = "INSERT OR IGNORE INTO subscriptions (uuid, name) VALUES (?1, ?2)";
    sql::execute(conn, add, (&target.uuid, &target.name))?;
    sql::value(conn, "SELECT key FROM subscriptions WHERE uuid = ?1", [&target.uuid]).map(SubscriptionKey)
}

/// Returns what is known of an event and the subscription. `removed` is the position that retention has reached.
fn event_status(
    conn: &Connection,
    seq: i64,
    sub: Option<SubscriptionKey>,
    removed: i64,
) -> Result<EventStatus, Error> {
    let (first, last) = DeliveryId::range_of_event(seq);
    let sub = sub.map(|sub| sub.0);
    let found = sql::first(conn, EVENT_STATUS, (seq, first, last, sub), |row| {
        Ok((row.get::<_, bool>(0)?, row.get::<_, bool>(1)?))
    });
    Ok(match found? {
        None => EventStatus::Removed,
        Some((_, true)) => EventStatus::Existing,
        Some((false, false)) => EventStatus::Erased,
        Some((true, false)) if seq <= removed => EventStatus::Unknown,
        Some((true, false)) => EventStatus::Undelivered,
    })
}

/// Inserts the next delivery of an event, all of whose deliveries are stored.
fn insert(conn: &Connection, seq: i64, sub: SubscriptionKey) -> Result<(), Error> {
    let last: Option<i64> = sql::value(conn, LAST, DeliveryId::range_of_event(seq))?;
    let next = last.map_or(0, |last| DeliveryId(last).number() + 1);
    if next >= MAX_FAN_OUT {
        return Err(Error::TooManyRecipients);
    }
    Ok(insert_behind_live(conn, DeliveryId::new(seq, next), sub)?)
}

#[cfg(test)]
mod tests {
    use super::super::super::schema::query_plan;
    use super::*;

    #[test]
    fn every_statement_searches_by_key() {
        for sql in [PAGE, EVENT_STATUS, LAST] {
            let plan = query_plan(sql);
            let is_bounded = |step: &String| !step.contains("SCAN") || step == "SCAN CONSTANT ROW";
            assert!(!plan.is_empty() && plan.iter().all(is_bounded), "{sql}: {plan:?}");
        }
    }
}
