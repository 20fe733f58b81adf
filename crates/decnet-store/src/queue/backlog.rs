//! The backlog of each subscription.

use decnet_core::time::UnixMicros;
use rusqlite::Connection;

use super::error::Error;
use super::id::SubscriptionKey;
use super::writer_state::WriterState;
use crate::sql;

/// The backlog of one subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionBacklog {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// The UUID of the subscription, which may have been deleted from the catalog.
    pub uuid: Box<str>,
    /// Whether deliveries are queued.
    pub queued: bool,
    /// The time at which the earliest retry is due.
    pub next_due: Option<UnixMicros>,
}

/// Finds the next subscription with queued deliveries in the index: one search per such subscription, regardless of the
/// number of other subscriptions.
const NEXT_QUEUED: &str = "SELECT sub, due_at FROM deliveries INDEXED BY queued
     WHERE state = 1 AND sub > ?1 ORDER BY sub, due_at LIMIT 1";
/// Finds the next subscription with retries, and its earliest retry.
const NEXT_RETRYING: &str = "SELECT sub, due_at FROM deliveries INDEXED BY retrying
     WHERE state = 2 AND sub > ?1 ORDER BY sub, due_at LIMIT 1";
const UUID: &str = "SELECT key, uuid FROM subscriptions WHERE key = ?1";

/// The first index entry of a subscription: its key and `due_at`.
type FirstEntry = (i64, i64);

/// Returns the backlogs, ordered by key.
pub(super) fn backlogs(writer: &mut WriterState) -> Result<Vec<SubscriptionBacklog>, Error> {
    let conn = &writer.conn;
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
        all.extend(backlog(conn, sub, queued_here.is_some(), next_due)?);
    }
    Ok(all)
}

/// Returns the first entry of the next subscription after `sub`.
fn next(conn: &Connection, sql: &str, sub: i64) -> Result<Option<FirstEntry>, Error> {
    Ok(sql::first(conn, sql, [sub], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

/// Returns the next subscription after `sub` that has retries.
pub(super) fn next_retrying(conn: &Connection, sub: i64) -> Result<Option<i64>, Error> {
    Ok(next(conn, NEXT_RETRYING, sub)?.map(|(sub, _)| sub))
}

/// Adds the UUID; `None` if the subscription is not registered, so that it cannot be identified to the caller.
fn backlog(
    conn: &Connection,
    sub: i64,
    queued: bool,
    next_due: Option<UnixMicros>,
) -> Result<Option<SubscriptionBacklog>, Error> {
    Ok(sql::first(conn, UUID, [sub], |row| {
        let (sub, uuid) = (SubscriptionKey(row.get(0)?), row.get(1)?);
        Ok(SubscriptionBacklog { sub, uuid, queued, next_due })
    })?)
}

#[cfg(test)]
mod tests {

    use super::super::schema;
    use super::*;

    #[test]
    fn every_statement_searches_an_index() {
        for sql in [NEXT_QUEUED, NEXT_RETRYING, UUID] {
            let plan = schema::query_plan(sql);
            let is_search = |step: &String| step.starts_with("SEARCH");
            assert!(!plan.is_empty() && plan.iter().all(is_search), "{sql}: {plan:?}");
        }
    }
}
