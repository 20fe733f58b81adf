//! Counts of waiting and dead deliveries by subscription, without reading delivered deliveries.
//!
//! The census walks over the indexes of queued, retrying and dead deliveries in steps, each a short read transaction. A
//! delivery that changes its state between two steps may be counted twice or not at all. Held deliveries are not indexed; the
//! worker that holds them counts them itself.

use decnet_core::limits::{CENSUS_STEP_ROWS, OLDEST_SCAN_RETRIES};
use decnet_core::time::UnixMicros;
use rustc_hash::FxHashMap;

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::state::{DEAD, QUEUED, RETRYING};
use super::Reader;
use crate::sql;

/// A running census and its counts so far.
#[derive(Debug)]
pub struct Census {
    /// The state whose index is being read, and the subscription, `due_at` and id of the last entry read; `None` at the end.
    position: Option<(i64, Entry)>,
    /// The counts of the subscriptions that have deliveries.
    pub counts: FxHashMap<SubscriptionKey, CensusCounts>,
}

/// The counts of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CensusCounts {
    /// Queued and retrying deliveries.
    pub waiting: u64,
    /// Dead deliveries that are still kept.
    pub dead: u64,
}

type Entry = (i64, i64, i64);

/// The position before all entries.
const FIRST: Entry = (i64::MIN, i64::MIN, i64::MIN);

impl Default for Census {
    fn default() -> Self {
        Self { position: Some((QUEUED, FIRST)), counts: FxHashMap::default() }
    }
}

impl Reader {
    /// Runs one step of a census of waiting and dead deliveries. Returns whether there are more deliveries to count. See
    /// [`Census`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn count_some(&self, census: &mut Census) -> Result<bool, Error> {
        let Some((state, after)) = census.position else { return Ok(false) };
        let mut statement = self.conn.prepare_cached(&next_entries(state))?;
        let mut rows = statement.query((after.0, after.1, after.2, CENSUS_STEP_ROWS))?;
        let (mut last, mut read) = (FIRST, 0);
        while let Some(row) = rows.next()? {
            let counts = census.counts.entry(SubscriptionKey(row.get(0)?)).or_default();
            *(if state == DEAD { &mut counts.dead } else { &mut counts.waiting }) += 1;
            (last, read) = ((row.get(0)?, row.get(1)?, row.get(2)?), read + 1);
        }
        census.position = match state {
            _ if read == CENSUS_STEP_ROWS => Some((state, last)),
            QUEUED => Some((RETRYING, FIRST)),
            RETRYING => Some((DEAD, FIRST)),
            _ => None,
        };
        Ok(census.position.is_some())
    }

    /// Returns the admission time of the oldest event with a waiting delivery of `sub`. Considers the queued deliveries,
    /// the `OLDEST_SCAN_RETRIES` retries that are due first, and `held`, the oldest delivery in the worker's memory.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn oldest_waiting(
        &self,
        sub: SubscriptionKey,
        held: Option<DeliveryId>,
    ) -> Result<Option<UnixMicros>, Error> {
        let first = |state: i64, limit: u32| {
            // A literal state selects the partial index.
            let first = format!(
                "SELECT min(id) FROM
                 (SELECT id FROM deliveries WHERE state = {state} AND sub = ?1 ORDER BY due_at LIMIT ?2)"
            );
            sql::value(&self.conn, &first, (sub.0, limit))
        };
        let (queued, retrying) = (first(QUEUED, 1)?, first(RETRYING, OLDEST_SCAN_RETRIES)?);
        let Some(oldest) = [queued, retrying, held.map(|id| id.0)].into_iter().flatten().min() else {
            return Ok(None);
        };
        let seq = DeliveryId(oldest).seq();
        let at = sql::find(&self.conn, "SELECT admitted_at FROM events WHERE seq = ?1", [seq])?;
        Ok(at.map(UnixMicros))
    }
}

/// Returns the SQL that reads the next entries of a state's index. A literal state selects the partial index.
fn next_entries(state: i64) -> String {
    if state == DEAD {
        return "SELECT sub, 0, id FROM deliveries WHERE state = 4 AND id > ?3 ORDER BY id LIMIT ?4".into();
    }
    format!(
        "SELECT sub, due_at, id FROM deliveries WHERE state = {state} AND (sub, due_at, id) > (?1, ?2, ?3)
         ORDER BY sub, due_at, id LIMIT ?4"
    )
}
