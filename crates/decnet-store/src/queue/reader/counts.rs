//! Counts of deliveries by subscription and state.

use decnet_core::time::UnixMicros;
use rusqlite::Row;

use super::super::error::Error;
use super::super::id::SubscriptionKey;
use super::Reader;
use crate::sql;

/// The numbers of deliveries of one subscription, by state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// The subscription.
    pub sub: SubscriptionKey,
    /// The UUID of the subscription in the catalog.
    pub uuid: Box<str>,
    /// The last name of the subscription that the worker recorded.
    pub name: Box<str>,
    /// Deliveries that have not been attempted yet.
    pub pending: u64,
    /// Deliveries that wait for a retry.
    pub retrying: u64,
    /// Delivered deliveries that are still kept.
    pub delivered: u64,
    /// Dead deliveries that are still kept.
    pub dead: u64,
    /// The admission time of the event of the oldest pending delivery.
    pub oldest_pending_at: Option<UnixMicros>,
}

const COUNTS: &str = "
    SELECT key, uuid, name, ifnull(pending, 0), ifnull(retrying, 0), ifnull(delivered, 0), ifnull(dead, 0),
           (SELECT admitted_at FROM events WHERE seq = oldest >> 20)
    FROM subscriptions LEFT JOIN (
        SELECT sub, sum(state < 2) AS pending, sum(state = 2) AS retrying, sum(state = 3) AS delivered,
               sum(state = 4) AS dead, min(iif(state < 2, id, NULL)) AS oldest
        FROM deliveries GROUP BY sub) ON sub = key
    ORDER BY name, key";

const _: () = assert!(super::super::id::DeliveryId::NUMBER_BITS == 20, "the statement above contains it");

impl Reader {
    /// Returns the number of deliveries of each subscription, by state. Scans all deliveries.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn counts(&self) -> Result<Vec<Counts>, Error> {
        Ok(sql::all(&self.conn, COUNTS, [], read)?)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Counts> {
    let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Counts {
        sub: SubscriptionKey(row.get(0)?),
        uuid: row.get(1)?,
        name: row.get(2)?,
        pending: count(3)?,
        retrying: count(4)?,
        delivered: count(5)?,
        dead: count(6)?,
        oldest_pending_at: row.get::<_, Option<i64>>(7)?.map(UnixMicros),
    })
}
