//! What waits, by subscription.

use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension};

use super::error::Error;
use super::id::SubscriptionKey;
use super::ledger::Ledger;

/// What waits for one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// Its uuid in the catalog, where it may be no more.
    pub uuid: Box<str>,
    /// Something is queued.
    pub queued: bool,
    /// When its earliest retry is due.
    pub next_due: Option<UnixMicros>,
}

/// The index of what is queued, from one subscription to the next: as many steps as subscriptions with something in
/// it, however many there are without.
const NEXT_QUEUED: &str = "SELECT sub, due_at FROM deliveries INDEXED BY queued
     WHERE state = 1 AND sub > ?1 ORDER BY sub, due_at LIMIT 1";
/// The same for retries; the first of a subscription is the earliest.
const NEXT_RETRYING: &str = "SELECT sub, due_at FROM deliveries INDEXED BY retrying
     WHERE state = 2 AND sub > ?1 ORDER BY sub, due_at LIMIT 1";
const UUID: &str = "SELECT key, uuid FROM subscriptions WHERE key = ?1";

/// Where one of the two indexes begins for a subscription.
type First = (i64, i64);

pub(super) fn waiting(ledger: &mut Ledger) -> Result<Vec<Waiting>, Error> {
    let conn = &ledger.conn;
    let (mut queued, mut retrying) = (next(conn, NEXT_QUEUED, -1)?, next(conn, NEXT_RETRYING, -1)?);
    let mut all = Vec::new();
    while let Some(sub) = [queued, retrying].into_iter().flatten().map(|(sub, _)| sub).min() {
        let queued_here = queued.take_if(|first| first.0 == sub);
        let retrying_here = retrying.take_if(|first| first.0 == sub);
        if queued_here.is_some() {
            queued = next(conn, NEXT_QUEUED, sub)?;
        }
        if retrying_here.is_some() {
            retrying = next(conn, NEXT_RETRYING, sub)?;
        }
        let next_due = retrying_here.map(|(_, due_at)| UnixMicros(due_at));
        all.extend(named(conn, sub, queued_here.is_some(), next_due)?);
    }
    Ok(all)
}

/// The first entry of the next subscription after `sub`.
fn next(conn: &Connection, sql: &str, sub: i64) -> Result<Option<First>, Error> {
    let mut find = conn.prepare_cached(sql)?;
    Ok(find.query_row([sub], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

/// Returns the next subscription after `sub` with something that waits for a retry.
pub(super) fn next_retrying(conn: &Connection, sub: i64) -> Result<Option<i64>, Error> {
    Ok(next(conn, NEXT_RETRYING, sub)?.map(|(sub, _)| sub))
}

/// None where nobody knows the subscription: then nobody can be told of it either.
fn named(
    conn: &Connection,
    sub: i64,
    queued: bool,
    next_due: Option<UnixMicros>,
) -> Result<Option<Waiting>, Error> {
    let mut find = conn.prepare_cached(UUID)?;
    let found = find.query_row([sub], |row| Ok((SubscriptionKey(row.get(0)?), row.get(1)?))).optional()?;
    Ok(found.map(|(sub, uuid)| Waiting { sub, uuid, queued, next_due }))
}

#[cfg(test)]
mod tests {

    use super::super::schema;
    use super::*;

    #[test]
    fn every_step_is_a_search() {
        for sql in [NEXT_QUEUED, NEXT_RETRYING, UUID] {
            let plan = schema::query_plan(sql);
            let is_search = |step: &String| step.starts_with("SEARCH");
            assert!(!plan.is_empty() && plan.iter().all(is_search), "{sql}: {plan:?}");
        }
    }
}
