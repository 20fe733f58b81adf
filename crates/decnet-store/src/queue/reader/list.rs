//! The newest deliveries, filtered.

use decnet_core::delivery::{Reason, Standing, State};
use decnet_core::event::fit_id;
use decnet_core::limits::{LIST_STEP_ROWS, PAGE_LOOK_ROWS};
use decnet_core::subscription::is_same_name;
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, matches};
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::state;
use super::active::Active;

/// Which deliveries to list; all of them by default.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only of the subscription with exactly this UUID, else of those with this name.
    pub subscription: Option<String>,
    /// Only standing so; however they stand, if it is empty.
    pub standings: Vec<Standing>,
    /// Which subscriptions get events now; where nobody says it, nothing is parked.
    pub active: Active,
    /// Only dead ones, for this reason.
    pub reason: Option<Reason>,
    /// Only of events whose topic matches.
    pub topic: Option<Pattern>,
    /// Only of events admitted then or later.
    pub since: Option<UnixMicros>,
    /// Only of events admitted before then.
    pub until: Option<UnixMicros>,
    /// Only of the event with this id.
    pub event_id: Option<String>,
    /// At most so many; all if it is none.
    pub limit: Option<usize>,
    /// Only ones before this, in other words older: [`Page::next`], or the last id of the page before.
    pub before: Option<DeliveryId>,
}

/// Some of what a filter describes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Newest first.
    pub deliveries: Vec<Listed>,
    /// Where the next page begins, if there may be one: its filter's `before`.
    pub next: Option<DeliveryId>,
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
    /// The delivery by which it was sent again, if it was: that one counts in its place. Retention may have removed it.
    pub again: Option<DeliveryId>,
    /// Its event's id.
    pub event_id: Box<str>,
    /// Its event's topic.
    pub topic: Box<str>,
}

pub(super) const COLUMNS: &str = "d.id, s.uuid, s.name, d.state, d.due_at, d.reason, d.attempts, e.admitted_at, \
                                  d.settled_at, e.id, e.topic, d.again";
pub(super) const JOIN: &str = "JOIN events e ON e.seq = d.id >> 20 JOIN subscriptions s ON s.key = d.sub";
/// The first column after [`COLUMNS`].
pub(super) const BODY: usize = 12;

pub(super) fn list(conn: &Connection, filter: &Filter) -> Result<Vec<Listed>, Error> {
    Ok(look(conn, filter, usize::MAX)?.deliveries)
}

/// The same, but without looking at more than `PAGE_LOOK_ROWS` deliveries.
pub(super) fn page(conn: &Connection, filter: &Filter) -> Result<Page, Error> {
    look(conn, filter, PAGE_LOOK_ROWS / LIST_STEP_ROWS as usize)
}

fn look(conn: &Connection, filter: &Filter, most_steps: usize) -> Result<Page, Error> {
    let limit = filter.limit.unwrap_or(usize::MAX);
    let subs = filter.subscription.as_deref().map(|wanted| keys_of(conn, wanted)).transpose()?;
    if subs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Page::default());
    }
    let subs = subs.map(|keys| json_list(&keys));
    let oldest = filter.since.map_or(Ok(0), |since| first_since(conn, since))?;
    let end = filter.until.map_or(Ok(i64::MAX), |until| first_since(conn, until))?;
    let mut found = Vec::new();
    let mut before = filter.before.map_or(i64::MAX, DeliveryId::raw).min(end);
    let mut steps = 0;
    // Each step is a short read, so that the worker's log can begin anew between two of them.
    while found.len() < limit
        && before > oldest
        && let Some(from) = step_before(conn, filter.are_all_dead(), before)?
    {
        if steps >= most_steps {
            return Ok(Page { deliveries: found, next: Some(DeliveryId::from_raw(before)) });
        }
        steps += 1;
        list_between(conn, filter, subs.as_deref(), (from.max(oldest), before), limit, &mut found)?;
        before = from;
    }
    let next = if found.len() >= limit { found.last().map(|last| last.id) } else { None };
    Ok(Page { deliveries: found, next })
}

/// Returns the queue's numbers of the subscription with exactly this UUID, else of those with a name that reads the same.
fn keys_of(conn: &Connection, wanted: &str) -> Result<Vec<u32>, Error> {
    let mut by_uuid = conn.prepare_cached("SELECT key FROM subscriptions WHERE uuid = ?1")?;
    if let Some(key) = by_uuid.query_row([wanted], |row| row.get(0)).optional()? {
        return Ok(vec![key]);
    }
    let mut by_name = conn.prepare_cached("SELECT key, name FROM subscriptions WHERE name = ?1 OR ?2")?;
    let mut rows = by_name.query((wanted, !wanted.is_ascii()))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        if is_same_name(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, wanted) {
            keys.push(row.get(0)?);
        }
    }
    Ok(keys)
}

fn json_list(keys: &[u32]) -> String {
    serde_json::to_string(keys).expect("numbers always serialise")
}

/// The lowest id that an event admitted at `since` or later can have: times ascend with sequence numbers.
pub(in super::super) fn first_since(conn: &Connection, since: UnixMicros) -> Result<i64, Error> {
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
pub(super) fn step_before(conn: &Connection, all_dead: bool, before: i64) -> Result<Option<i64>, Error> {
    // The dead are often few and far between, and have an index.
    let condition = if all_dead { "state = 4" } else { "true" };
    let sql = format!(
        "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE {condition} AND id < ?1 ORDER BY id DESC LIMIT ?2)"
    );
    Ok(conn.prepare_cached(&sql)?.query_row((before, LIST_STEP_ROWS), |row| row.get(0))?)
}

fn list_between(
    conn: &Connection,
    filter: &Filter,
    subs: Option<&str>,
    (from, before): (i64, i64),
    limit: usize,
    found: &mut Vec<Listed>,
) -> Result<(), Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN}
         WHERE d.id >= ?1 AND d.id < ?2 AND ({})
             AND (?3 IS NULL OR d.sub IN (SELECT value FROM json_each(?3)))
             AND (?4 IS NULL OR d.reason = ?4)
         ORDER BY d.id DESC",
        filter.condition()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query((from, before, subs, filter.reason.map(Reason::code)))?;
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

impl Filter {
    /// Can the index of the dead be used?
    fn are_all_dead(&self) -> bool {
        let only =
            |wanted| !self.standings.is_empty() && self.standings.iter().all(|standing| *standing == wanted);
        only(Standing::Dead) || (self.reason.is_some() && self.standings.is_empty())
    }

    /// The stored states that may be meant. Literals, so that the partial index is found.
    fn condition(&self) -> String {
        if self.are_all_dead() {
            return "d.state = 4".into();
        }
        let states: Vec<&str> = self.standings.iter().map(|standing| stored(*standing)).collect();
        if states.is_empty() { "true".into() } else { states.join(" OR ") }
    }

    /// What SQL has not seen to.
    fn admits(&self, listed: &Listed) -> bool {
        (self.standings.is_empty() || self.standings.contains(&self.active.standing(listed)))
            && self.topic.as_ref().is_none_or(|pattern| matches(pattern.as_str(), &listed.topic))
            && self.event_id.as_ref().is_none_or(|id| is_published_as(listed, id))
    }
}

/// Returns whether the event was published with this id. One that cannot be sent with it was stored with the id derived from
/// it.
fn is_published_as(listed: &Listed, id: &str) -> bool {
    *listed.event_id == *id || fit_id(id) == *listed.event_id
}

fn stored(standing: Standing) -> &'static str {
    match standing {
        Standing::Pending => "d.state < 2",
        Standing::Retrying => "d.state = 2",
        Standing::Parked => "d.state < 3",
        Standing::Delivered => "d.state = 3",
        Standing::Dead => "d.state = 4",
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
        again: row.get::<_, Option<i64>>(11)?.map(DeliveryId::from_raw),
    })
}
