//! How much waits and how much is dead, by subscription, without reading what was delivered.
//!
//! The indexes of what is queued, what retries and what is dead are walked in steps, each a short read transaction.
//! Others write between two of them: what moves meanwhile may be counted twice or not at all. What is held is in no
//! index; the worker that holds it knows how much that is.

use decnet_core::limits::{CENSUS_STEP_ROWS, OLDEST_RETRIES};
use decnet_core::time::UnixMicros;
use rusqlite::{Connection, OptionalExtension};
use rustc_hash::FxHashMap;

use super::super::error::Error;
use super::super::id::{DeliveryId, SubscriptionKey};

/// A counting under way, and what it came to so far.
#[derive(Debug, Default)]
pub struct Census {
    stage: Stage,
    found: FxHashMap<SubscriptionKey, Found>,
}

/// What was counted of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Found {
    /// Queued, or waiting for a retry.
    pub waiting: u64,
    /// Given up, and still kept.
    pub dead: u64,
}

/// Which index, and after which entry of it.
#[derive(Debug, Clone, Copy)]
enum Stage {
    Waiting { state: i64, after: (i64, i64, i64) },
    Dead { after: i64 },
    Done,
}

const QUEUED: i64 = 1;
const RETRYING: i64 = 2;
const FIRST: (i64, i64, i64) = (i64::MIN, i64::MIN, i64::MIN);

impl Default for Stage {
    fn default() -> Self {
        Self::Waiting { state: QUEUED, after: FIRST }
    }
}

impl Census {
    /// By subscription; one with nothing is not there.
    #[must_use]
    pub fn into_found(self) -> FxHashMap<SubscriptionKey, Found> {
        self.found
    }
}

/// One step; false when all is counted.
pub(super) fn count_some(conn: &Connection, census: &mut Census) -> Result<bool, Error> {
    census.stage = match census.stage {
        Stage::Waiting { state, after } => match (waiting(conn, state, after, &mut census.found)?, state) {
            (Some(after), _) => Stage::Waiting { state, after },
            (None, QUEUED) => Stage::Waiting { state: RETRYING, after: FIRST },
            (None, _) => Stage::Dead { after: i64::MIN },
        },
        Stage::Dead { after } => {
            dead(conn, after, &mut census.found)?.map_or(Stage::Done, |after| Stage::Dead { after })
        }
        Stage::Done => Stage::Done,
    };
    Ok(!matches!(census.stage, Stage::Done))
}

/// The last entry that was counted, if there may be more behind it.
fn waiting(
    conn: &Connection,
    state: i64,
    after: (i64, i64, i64),
    found: &mut FxHashMap<SubscriptionKey, Found>,
) -> Result<Option<(i64, i64, i64)>, Error> {
    // A literal state, so that the partial index is found; it holds all three columns.
    let sql = format!(
        "SELECT sub, due_at, id FROM deliveries WHERE state = {state} AND (sub, due_at, id) > (?1, ?2, ?3)
         ORDER BY sub, due_at, id LIMIT ?4"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((after.0, after.1, after.2, CENSUS_STEP_ROWS))?;
    let (mut last, mut seen) = (None, 0);
    while let Some(row) = rows.next()? {
        let sub: u32 = row.get(0)?;
        found.entry(SubscriptionKey(sub)).or_default().waiting += 1;
        (last, seen) = (Some((sub.into(), row.get(1)?, row.get(2)?)), seen + 1);
    }
    Ok(last.filter(|_| seen == CENSUS_STEP_ROWS))
}

fn dead(
    conn: &Connection,
    after: i64,
    found: &mut FxHashMap<SubscriptionKey, Found>,
) -> Result<Option<i64>, Error> {
    let mut statement = conn
        .prepare_cached("SELECT id, sub FROM deliveries WHERE state = 4 AND id > ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = statement.query((after, CENSUS_STEP_ROWS))?;
    let (mut last, mut seen) = (None, 0);
    while let Some(row) = rows.next()? {
        found.entry(SubscriptionKey(row.get(1)?)).or_default().dead += 1;
        (last, seen) = (Some(row.get(0)?), seen + 1);
    }
    Ok(last.filter(|_| seen == CENSUS_STEP_ROWS))
}

/// When the event of the oldest delivery that waits for `sub` was admitted: of what is queued, of its earliest
/// retries, and of `held`.
pub(super) fn oldest(
    conn: &Connection,
    sub: SubscriptionKey,
    held: Option<DeliveryId>,
) -> Result<Option<UnixMicros>, Error> {
    let one = |sql: &str, limit: u32| -> Result<Option<i64>, Error> {
        Ok(conn.prepare_cached(sql)?.query_row((sub.0, limit), |row| row.get(0))?)
    };
    let queued = one(
        "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE state = 1 AND sub = ?1 ORDER BY due_at LIMIT ?2)",
        1,
    )?;
    let retrying = one(
        "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE state = 2 AND sub = ?1 ORDER BY due_at LIMIT ?2)",
        OLDEST_RETRIES,
    )?;
    let Some(oldest) = [queued, retrying, held.map(DeliveryId::raw)].into_iter().flatten().min() else {
        return Ok(None);
    };
    let mut admitted_at = conn.prepare_cached("SELECT admitted_at FROM events WHERE seq = ?1 >> ?2")?;
    let at = admitted_at.query_row((oldest, DeliveryId::NUMBER_BITS), |row| row.get(0)).optional()?;
    Ok(at.map(UnixMicros))
}
