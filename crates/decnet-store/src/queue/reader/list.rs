//! The newest deliveries, filtered.

use decnet_core::delivery::State;
use decnet_core::limits::LIST_STEP_ROWS;
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, matches};
use rusqlite::{Connection, Row};

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
    let mut found = Vec::new();
    let mut before = filter.before.map_or(i64::MAX, DeliveryId::raw);
    while found.len() < limit
        && let Some(next) = list_step(conn, filter, before, limit, &mut found)?
    {
        before = next;
    }
    Ok(found)
}

/// Looks at a bounded number of rows before an id; where to go on, if there is more to look at.
fn list_step(
    conn: &Connection,
    filter: &Filter,
    before: i64,
    limit: usize,
    found: &mut Vec<Listed>,
) -> Result<Option<i64>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN} WHERE d.id < ?1 AND {} ORDER BY d.id DESC LIMIT ?2",
        condition(filter.state)
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((before, LIST_STEP_ROWS))?;
    let mut looked_at = 0;
    let mut last = before;
    while let Some(row) = rows.next()? {
        let listed = read(row)?;
        if filter.since.is_some_and(|since| listed.admitted_at < since) {
            return Ok(None);
        }
        (looked_at, last) = (looked_at + 1, listed.id.raw());
        if filter.admits(&listed) {
            found.push(listed);
        }
        if found.len() >= limit {
            return Ok(None);
        }
    }
    Ok((looked_at == LIST_STEP_ROWS).then_some(last))
}

/// Literal states, so that the partial indexes are found.
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
    fn admits(&self, listed: &Listed) -> bool {
        let named =
            |wanted: &String| **wanted == *listed.subscription_uuid || **wanted == *listed.subscription_name;
        self.subscription.as_ref().is_none_or(named)
            && self.topic.as_ref().is_none_or(|pattern| matches(pattern.as_str(), &listed.topic))
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
