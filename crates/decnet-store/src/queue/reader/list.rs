//! Lists of deliveries that match a filter, newest first.

use decnet_core::delivery::{DeliveryStatus, Reason, State, StatusClass};
use decnet_core::event::sendable_id;
use decnet_core::limits::{LIST_STEP_ROWS, PAGE_SCAN_ROWS};
use decnet_core::subscription::is_same_name;
use decnet_core::time::UnixMicros;
use decnet_core::topic::{Pattern, matches};
use rusqlite::{Connection, Row};

use super::super::error::Error;
use super::super::id::DeliveryId;
use super::super::state;
use super::Reader;
use super::active::ActiveSubscriptions;
use crate::sql;

/// The conditions for a list of deliveries. The default matches all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Matches the subscription with exactly this UUID, or otherwise the subscriptions with this name.
    pub subscription: Option<String>,
    /// Matches these statuses; all if empty.
    pub statuses: Vec<DeliveryStatus>,
    /// The active subscriptions, which decide whether a delivery is parked.
    pub active: ActiveSubscriptions,
    /// Matches deliveries whose last attempt was answered with a status of one of these classes; all if empty.
    pub status_classes: Vec<StatusClass>,
    /// Matches dead deliveries with this reason.
    pub reason: Option<Reason>,
    /// Matches events whose topic matches the pattern.
    pub topic: Option<Pattern>,
    /// Matches events admitted at this time or later.
    pub since: Option<UnixMicros>,
    /// Matches events admitted before this time.
    pub until: Option<UnixMicros>,
    /// Matches the event with this id.
    pub event_id: Option<String>,
    /// Matches events whose id contains this text, and the event that was published with this id.
    pub search: Option<String>,
    /// The maximum number of deliveries; unlimited if `None`.
    pub limit: Option<usize>,
    /// Matches deliveries older than this delivery: [`Page::next`], or the last id of the previous page.
    pub before: Option<DeliveryId>,
}

/// One page of the deliveries that match a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// The deliveries, newest first.
    pub deliveries: Vec<Listed>,
    /// The value of [`Filter::before`] for the next page, if there may be one.
    pub next: Option<DeliveryId>,
}

/// A delivery in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// The UUID of the subscription.
    pub subscription_uuid: Box<str>,
    /// The last name of the subscription that the worker recorded.
    pub subscription_name: Box<str>,
    /// The state of the delivery.
    pub state: State,
    /// The number of attempts so far.
    pub attempts: u32,
    /// The admission time of the event.
    pub admitted_at: UnixMicros,
    /// The time at which the delivery became final.
    pub settled_at: Option<UnixMicros>,
    /// The redelivery that replaces this delivery, if any. Retention may have removed it.
    pub again: Option<DeliveryId>,
    /// The id of the event.
    pub event_id: Box<str>,
    /// The topic of the event.
    pub topic: Box<str>,
}

pub(super) const COLUMNS: &str = "d.id, s.uuid, s.name, d.state, d.due_at, d.reason, d.attempts, e.admitted_at, \
                                  d.settled_at, e.id, e.topic, d.again";
pub(super) const JOIN: &str = "JOIN events e ON e.seq = d.id >> 20 JOIN subscriptions s ON s.key = d.sub";
/// The index of the first column after [`COLUMNS`].
pub(super) const BODY: usize = 12;
/// The status of the last attempt; NULL without a reply. The attempt that delivered is stored in the delivery's row.
const LAST_STATUS: &str = "iif(d.state = 3, d.status, (SELECT a.status FROM attempts a WHERE a.delivery = d.id \
                           AND a.number = d.attempts))";

impl Reader {
    /// Returns the deliveries that match `filter`, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn list(&self, filter: &Filter) -> Result<Vec<Listed>, Error> {
        Ok(scan(&self.conn, filter, usize::MAX)?.deliveries)
    }

    /// Returns a page of the deliveries that match `filter`. At most `PAGE_SCAN_ROWS` deliveries are scanned, so that the call
    /// returns soon even if few deliveries match; [`Page::next`] is the position of the next page.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn page(&self, filter: &Filter) -> Result<Page, Error> {
        scan(&self.conn, filter, PAGE_SCAN_ROWS / LIST_STEP_ROWS as usize)
    }
}

fn scan(conn: &Connection, filter: &Filter, max_steps: usize) -> Result<Page, Error> {
    let limit = filter.limit.unwrap_or(usize::MAX);
    let subs = filter.subscription.as_deref().map(|name| subscription_keys(conn, name)).transpose()?;
    if subs.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Page::default());
    }
    let subs = subs.map(|keys| serde_json::to_string(&keys).expect("a list of numbers is valid JSON"));
    let oldest = filter.since.map_or(Ok(0), |since| first_since(conn, since))?;
    let end = filter.until.map_or(Ok(i64::MAX), |until| first_since(conn, until))?;
    let mut found = Vec::new();
    let mut before = filter.before.map_or(i64::MAX, |id| id.0).min(end);
    let mut steps = 0;
    // Each step is a short read, so that the write-ahead log can restart between two steps.
    while found.len() < limit
        && before > oldest
        && let Some(from) = step_before(conn, filter.is_dead_only(), before)?
    {
        if steps >= max_steps {
            return Ok(Page { deliveries: found, next: Some(DeliveryId(before)) });
        }
        steps += 1;
        list_between(conn, filter, subs.as_deref(), (from.max(oldest), before), limit, &mut found)?;
        before = from;
    }
    let next = if found.len() >= limit { found.last().map(|last| last.id) } else { None };
    Ok(Page { deliveries: found, next })
}

/// Returns the key of the subscription with exactly this UUID, or otherwise the keys of the subscriptions with an equivalent
/// name.
fn subscription_keys(conn: &Connection, name_or_uuid: &str) -> Result<Vec<u32>, Error> {
    if let Some(key) = sql::find(conn, "SELECT key FROM subscriptions WHERE uuid = ?1", [name_or_uuid])? {
        return Ok(vec![key]);
    }
    let mut by_name = conn.prepare_cached("SELECT key, name FROM subscriptions WHERE name = ?1 OR ?2")?;
    let mut rows = by_name.query((name_or_uuid, !name_or_uuid.is_ascii()))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        if is_same_name(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?, name_or_uuid) {
            keys.push(row.get(0)?);
        }
    }
    Ok(keys)
}

/// Returns the lowest id of a delivery whose event was admitted at `since` or later, by binary search: admission times ascend
/// with sequence numbers.
pub(in super::super) fn first_since(conn: &Connection, since: UnixMicros) -> Result<i64, Error> {
    let (mut low, mut high) = (0, DeliveryId::MAX_SEQ);
    while low < high {
        let middle = low + (high - low) / 2;
        if admitted_from(conn, middle)? < since.0 { low = middle + 1 } else { high = middle }
    }
    Ok(DeliveryId::new(low, 0).0)
}

pub(in super::super) const ADMITTED_FROM: &str =
    "SELECT admitted_at FROM events WHERE seq >= ?1 ORDER BY seq LIMIT 1";

/// Returns the admission time of the first event with this or a higher sequence number; `i64::MAX` if there is none.
pub(in super::super) fn admitted_from(conn: &Connection, seq: i64) -> Result<i64, Error> {
    Ok(sql::find(conn, ADMITTED_FROM, [seq])?.unwrap_or(i64::MAX))
}

/// Returns the lowest id of the next step, which has at most `LIST_STEP_ROWS` rows before `before`.
pub(in super::super) fn step_before(
    conn: &Connection,
    dead_only: bool,
    before: i64,
) -> Result<Option<i64>, Error> {
    // Dead deliveries are often rare, and have an index.
    let condition = if dead_only { "state = 4" } else { "true" };
    let first = format!(
        "SELECT min(id) FROM
             (SELECT id FROM deliveries WHERE {condition} AND id < ?1 ORDER BY id DESC LIMIT ?2)"
    );
    Ok(sql::value(conn, &first, (before, LIST_STEP_ROWS))?)
}

/// Adds the matching deliveries from `from` until before `before`, newest first.
fn list_between(
    conn: &Connection,
    filter: &Filter,
    subs: Option<&str>,
    (from, before): (i64, i64),
    limit: usize,
    found: &mut Vec<Listed>,
) -> Result<(), Error> {
    let select = format!(
        "SELECT {COLUMNS} FROM deliveries d {JOIN}
         WHERE d.id >= ?1 AND d.id < ?2 AND ({})
             AND (?3 IS NULL OR d.sub IN (SELECT value FROM json_each(?3)))
             AND (?4 IS NULL OR d.reason = ?4)
             AND ({})
         ORDER BY d.id DESC",
        filter.condition(),
        filter.status_condition()
    );
    let mut statement = conn.prepare_cached(&select)?;
    let mut rows = statement.query((from, before, subs, filter.reason.map(Reason::code)))?;
    while found.len() < limit
        && let Some(row) = rows.next()?
    {
        let listed = read(row)?;
        if filter.matches(&listed) {
            found.push(listed);
        }
    }
    Ok(())
}

impl Filter {
    /// Returns whether only dead deliveries can match, so that their index is used.
    fn is_dead_only(&self) -> bool {
        let only = |wanted| !self.statuses.is_empty() && self.statuses.iter().all(|status| *status == wanted);
        only(DeliveryStatus::Dead) || (self.reason.is_some() && self.statuses.is_empty())
    }

    /// Returns an SQL condition on the stored states. Its literals select the partial index.
    fn condition(&self) -> String {
        if self.is_dead_only() {
            return "d.state = 4".into();
        }
        let states: Vec<&str> = self.statuses.iter().map(|status| sql_condition(*status)).collect();
        if states.is_empty() { "true".into() } else { states.join(" OR ") }
    }

    /// Returns an SQL condition on the status of the last attempt.
    fn status_condition(&self) -> String {
        let condition = |class: &StatusClass| match class.first_digit() {
            Some(digit) => format!("{LAST_STATUS} / 100 = {digit}"),
            None => format!("d.attempts > 0 AND {LAST_STATUS} IS NULL"),
        };
        let classes: Vec<String> = self.status_classes.iter().map(condition).collect();
        if classes.is_empty() { "true".into() } else { classes.join(" OR ") }
    }

    /// Checks the conditions that the SQL statement does not contain.
    fn matches(&self, listed: &Listed) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&self.active.status(listed)))
            && self.topic.as_ref().is_none_or(|pattern| matches(pattern.as_str(), &listed.topic))
            && self.event_id.as_ref().is_none_or(|id| is_published_as(listed, id))
            && self
                .search
                .as_ref()
                .is_none_or(|text| listed.event_id.contains(&**text) || is_published_as(listed, text))
    }
}

/// Returns whether the event was published with this id. If the id cannot be sent, the event was stored with an id derived from
/// it.
fn is_published_as(listed: &Listed, id: &str) -> bool {
    *listed.event_id == *id || sendable_id(id) == *listed.event_id
}

/// Returns an SQL condition that every delivery with this status meets.
fn sql_condition(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Pending => "d.state < 2",
        DeliveryStatus::Retrying => "d.state = 2",
        DeliveryStatus::Parked => "d.state < 3",
        DeliveryStatus::Delivered => "d.state = 3",
        DeliveryStatus::Dead => "d.state = 4",
    }
}

pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: DeliveryId(row.get(0)?),
        subscription_uuid: row.get(1)?,
        subscription_name: row.get(2)?,
        state: state::from_columns(row, 3)?,
        attempts: row.get(6)?,
        admitted_at: UnixMicros(row.get(7)?),
        settled_at: row.get::<_, Option<i64>>(8)?.map(UnixMicros),
        event_id: row.get(9)?,
        topic: row.get(10)?,
        again: row.get::<_, Option<i64>>(11)?.map(DeliveryId),
    })
}
