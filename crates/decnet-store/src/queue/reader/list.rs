//! The newest deliveries, filtered.

use decnet_core::delivery::State;
use decnet_core::limits::LIST_STEP_ROWS;
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, matches};
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::state;

/// Which deliveries to list; all of them by default.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of the subscription with this uuid or this name.
    pub subscription: Option<String>,
    /// Only in this state.
    pub state: Option<StateFilter>,
    /// Only of events whose topic matches.
    pub topic: Option<Pattern>,
    /// Only of events admitted then or later.
    pub since: Option<UnixMicros>,
    /// Only of the event with this id.
    pub event_id: Option<String>,
    /// At most so many; all if it is none.
    pub limit: Option<usize>,
    /// Only ones before this, in other words older: the last id of the page before.
    pub before: Option<DeliveryId>,
}

/// A kind of state to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateFilter {
    /// Not yet attempted.
    Pending,
    /// Waiting for the next attempt.
    Retrying,
    /// Final: a 2xx.
    Delivered,
    /// Final: given up.
    Dead,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: DeliveryId,
    /// Its subscription's uuid.
    pub subscription_uuid: Box<str>,
    /// Its subscription's name when the worker last saw it.
    pub subscription_name: Box<str>,
    /// Where it stands.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// When its event was admitted.
    pub admitted_at: UnixMicros,
    /// When it became final.
    pub settled_at: Option<UnixMicros>,
    /// Its event's id.
    pub event_id: Box<str>,
    /// Its event's topic.
    pub topic: Box<str>,
}

pub(super) const COLUMNS: &str = "d.id, s.uuid, s.name, d.state, d.due_at, d.reason, d.attempts, e.admitted_at, \
                                  d.settled_at, e.id, e.topic";
pub(super) const JOIN: &str = "JOIN events e ON e.seq = d.id >> 20 JOIN subscriptions s ON s.key = d.sub";
/// The first column after [`COLUMNS`].
pub(super) const BODY: usize = 11;

pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<Listed>, Error> {
    let limit = filter.limit.unwrap_or(usize::MAX);
    let oldest = filter.since.map_or(Ok(0), |since| first_since(conn, since))?;
    let mut found = Vec::new();
    let mut before = filter.before.map_or(i64::MAX, DeliveryId::raw);
    // Each step is a short read, so that the worker's log can begin anew between two of them.
    while found.len() < limit
        && before > oldest
        && let Some(from) = step_before(conn, filter.state, before)?
    {
        list_between(conn, filter, from.max(oldest), before, limit, &mut found)?;
        before = from;
    }
    Ok(found)
}

/// The lowest id that an event admitted at `since` or later can have: times ascend with sequence numbers.
fn first_since(conn: &Connection, since: UnixMicros) -> Result<i64, Error> {
    let mut admitted_at =
        conn.prepare_cached("SELECT admitted_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1")?;
    let (mut low, mut high) = (0, DeliveryId::MAX_SEQ);
    while low < high {
        let middle = low + (high - low) / 2;
        let at: Option<i64> = admitted_at.query_row([middle], |row| row.get(0)).optional()?;
        if at.is_some_and(|at| at < since.0) { low = middle + 1 } else { high = middle }
    }
    Ok(DeliveryId::new(low, 0).raw())
}

/// Where the next step, of a bounded number of rows, begins.
fn step_before(conn: &Connection, state: Option<StateFilter>, before: i64) -> Result<Option<i64>, Error> {
    // The dead are often few and far between, and have an index.
    let condition = if state == Some(StateFilter::Dead) { "state = 4" } else { "true" };
    let sql = format!(
        "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE {condition} AND id < ?1 ORDER BY id DESC LIMIT ?2)"
    );
    Ok(conn.prepare_cached(&sql)?.query_row((before, LIST_STEP_ROWS), |row| row.get(0))?)
}

fn list_between(
    conn: &Connection,
    filter: &Filter,
    from: i64,
    before: i64,
    limit: usize,
    found: &mut Vec<Listed>,
) -> Result<(), Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN}
         WHERE d.id >= ?1 AND d.id < ?2 AND {}
             AND (?3 IS NULL OR d.sub IN (SELECT key FROM subscriptions WHERE uuid = ?3 OR name = ?3))
         ORDER BY d.id DESC",
        condition(filter.state)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((from, before, &filter.subscription))?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let listed = read(row)?;
        if filter.admits(&listed) {
            found.push(listed);
        }
    }
    Ok(())
}

/// Literal states, so that the partial index is found.
fn condition(state: Option<StateFilter>) -> &'static str {
    match state {
        None => "true",
        Some(StateFilter::Pending) => "d.state < 2",
        Some(StateFilter::Retrying) => "d.state = 2",
        Some(StateFilter::Delivered) => "d.state = 3",
        Some(StateFilter::Dead) => "d.state = 4",
    }
}

impl Filter {
    /// What SQL has not seen to.
    fn admits(&self, listed: &Listed) -> bool {
        self.topic.as_ref().is_none_or(|pattern| matches(pattern.as_str(), &listed.topic))
            && self.event_id.as_ref().is_none_or(|id| **id == *listed.event_id)
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: DeliveryId::from_raw(row.get(0)?),
        subscription_uuid: row.get(1)?,
        subscription_name: row.get(2)?,
        state: state::from_columns(row, 3)?,
        attempts: row.get(6)?,
        admitted_at: UnixMicros(row.get(7)?),
        settled_at: row.get::<_, Option<i64>>(8)?.map(UnixMicros),
        event_id: row.get(9)?,
        topic: row.get(10)?,
    })
}
