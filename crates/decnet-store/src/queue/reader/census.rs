//! Counts of waiting and dead deliveries by subscription, without reading delivered deliveries.
//!
//! The census walks over the indexes of queued, retrying and dead deliveries in steps, each a short read transaction. A
//! delivery that changes its state between two steps may be counted twice or not at all. Held deliveries are not indexed; the
//! worker that holds them counts them itself.

use decnet_core::limits::{CENSUS_STEP_ROWS, OLDEST_SCAN_RETRIES};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};
use super::super::state::{QUEUED, RETRYING};
use super::Reader;

/// A running census and its counts so far.
#[derive(Debug, Default)]
pub struct Census {
    stage: Stage,
    counts: FxHashMap<SubscriptionKey, CensusCounts>,
}

/// The counts of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CensusCounts {
    /// Queued and retrying deliveries.
    pub waiting: u64,
    /// Dead deliveries that are still kept.
    pub dead: u64,
}

/// The index that is being read, and the last entry read.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Waiting { state: i64, after: (i64, i64, i64) },
    Dead { after: i64 },
    Done,
}

const FIRST: (i64, i64, i64) = (i64::MIN, i64::MIN, i64::MIN);

impl Default for Stage {
    fn default() -> Self {
        Self::Waiting { state: QUEUED, after: FIRST }
    }
}

impl Census {
    /// Returns the counts of the subscriptions that have deliveries.
    #[must_use]
    pub fn into_counts(self) -> FxHashMap<SubscriptionKey, CensusCounts> {
        self.counts
    }
}

impl Reader {
    /// Runs one step of a census of waiting and dead deliveries. Returns whether there are more deliveries to count. See
    /// [`Census`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn count_some(&self, census: &mut Census) -> Result<bool, Error> {
        census.stage = match census.stage {
            Stage::Waiting { state, after } => {
                match (count_waiting(&self.conn, state, after, &mut census.counts)?, state) {
                    (Some(after), _) => Stage::Waiting { state, after },
                    (None, QUEUED) => Stage::Waiting { state: RETRYING, after: FIRST },
                    (None, _) => Stage::Dead { after: i64::MIN },
                }
            }
            Stage::Dead { after } => count_dead(&self.conn, after, &mut census.counts)?
                .map_or(Stage::Done, |after| Stage::Dead { after }),
            Stage::Done => Stage::Done,
        };
        Ok(!matches!(census.stage, Stage::Done))
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
        let first = |state: i64, limit: u32| -> Result<Option<i64>, Error> {
            // A literal state selects the partial index.
            let sql = format!(
                "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE state = {state} AND sub = ?1 ORDER BY due_at LIMIT ?2)"
            );
            Ok(self.conn.prepare_cached(&sql)?.query_row((sub.0, limit), |row| row.get(0))?)
        };
        let (queued, retrying) = (first(QUEUED, 1)?, first(RETRYING, OLDEST_SCAN_RETRIES)?);
        let Some(oldest) = [queued, retrying, held.map(DeliveryId::raw)].into_iter().flatten().min() else {
            return Ok(None);
        };
        let mut admitted_at =
            self.conn.prepare_cached("SELECT admitted_at FROM events WHERE seq = ?1 >> ?2")?;
        let at = admitted_at.query_row((oldest, DeliveryId::NUMBER_BITS), |row| row.get(0)).optional()?;
        Ok(at.map(UnixMicros))
    }
}

/// Counts the next waiting deliveries. Returns the last delivery if there may be more.
fn count_waiting(
    conn: &Connection,
    state: i64,
    after: (i64, i64, i64),
    counts: &mut FxHashMap<SubscriptionKey, CensusCounts>,
) -> Result<Option<(i64, i64, i64)>, Error> {
    // A literal state selects the partial index, which contains all three columns.
    let sql = format!(
        "SELECT sub, due_at, id FROM deliveries WHERE state = {state} AND (sub, due_at, id) > (?1, ?2, ?3)
         ORDER BY sub, due_at, id LIMIT ?4"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((after.0, after.1, after.2, CENSUS_STEP_ROWS))?;
    let (mut last, mut read) = (None, 0);
    while let Some(row) = rows.next()? {
        let sub: u32 = row.get(0)?;
        counts.entry(SubscriptionKey(sub)).or_default().waiting += 1;
        (last, read) = (Some((sub.into(), row.get(1)?, row.get(2)?)), read + 1);
    }
    Ok(last.filter(|_| read == CENSUS_STEP_ROWS))
}

/// Counts the next dead deliveries. Returns the last delivery if there may be more.
fn count_dead(
    conn: &Connection,
    after: i64,
    counts: &mut FxHashMap<SubscriptionKey, CensusCounts>,
) -> Result<Option<i64>, Error> {
    let mut statement = conn
        .prepare_cached("SELECT id, sub FROM deliveries WHERE state = 4 AND id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query((after, CENSUS_STEP_ROWS))?;
    let (mut last, mut read) = (None, 0);
    while let Some(row) = rows.next()? {
        counts.entry(SubscriptionKey(row.get(1)?)).or_default().dead += 1;
        (last, read) = (Some(row.get(0)?), read + 1);
    }
    Ok(last.filter(|_| read == CENSUS_STEP_ROWS))
}
