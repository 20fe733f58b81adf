//! Reading every row, whatever it holds.

use decnet_core::limits::MAX_SUBSCRIPTIONS;
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use rustc_hash::FxHashSet;

use super::cell::{Cell, bounded};
use super::changes::{Changes, RECORDS, Seen};
use super::error::Error;
use super::judge::{RowProblem, Stored, judge};
use super::open::Catalog;
use super::schema::{COLUMNS, TRIPPED_AT};
use super::side::{self, Side};
use super::trips::Trips;

/// All subscriptions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The rows that can be dispatched to, in the order of the table.
    pub subscriptions: Vec<Stored>,
    /// The rows that cannot, and why.
    pub problems: Vec<RowProblem>,
}

/// One row as it was found.
pub(super) struct RawRow {
    pub(super) uuid: Cell,
    pub(super) name: Cell,
    pub(super) url: Cell,
    pub(super) secret: Cell,
    pub(super) topic_patterns: Cell,
    pub(super) enabled: Cell,
    pub(super) consecutive_failures: Cell,
    pub(super) last_success_at: Cell,
    pub(super) last_failure_at: Cell,
    pub(super) last_error: Cell,
    pub(super) auto_disabled_at: Cell,
    pub(super) created_at: Cell,
    pub(super) updated_at: Cell,
    /// `enabled IS 1`, asked of SQLite itself so that the fence of a recording means the same.
    is_enabled: bool,
    gone_at: Cell,
    /// JSON of [`Settings`](decnet_core::settings::Settings).
    pub(super) settings: Cell,
    /// JSON of their headers, with every value.
    pub(super) headers: Cell,
    pub(super) paused: Cell,
    /// JSON of the secrets that were replaced and still sign.
    pub(super) old_secrets: Cell,
    /// See [`super::side`].
    deferred_until: Cell,
    pub(super) deferrals_lifted: Cell,
}

/// A row and what it is good for.
pub(super) type Judged = (RawRow, Result<Stored, Problem>);

impl RawRow {
    /// The column of `select` that holds a row's place in the table.
    pub(super) const PLACE: &str = "place";

    /// What `enabled` and `auto_disabled_at` say together.
    pub(super) fn activity(&self) -> Activity {
        match (self.is_enabled, &self.auto_disabled_at) {
            (true, _) => Activity::Active,
            (false, Cell::Null) => Activity::Disabled,
            (false, _) => Activity::Tripped,
        }
    }

    /// Was the trip that it is in caused by a 410? See [`super::side`].
    pub(super) fn is_gone(&self) -> bool {
        let Cell::Integer(gone_at) = self.gone_at else { return false };
        let tripped_at = self.auto_disabled_at.time().0;
        self.activity() == Activity::Tripped && tripped_at.is_some_and(|at| at.0 == gone_at)
    }

    /// Until when its receiver has asked to be sent nothing, as it was last noted.
    pub(super) fn deferred_until(&self) -> Option<UnixMicros> {
        let Cell::Integer(until) = self.deferred_until else { return None };
        Some(UnixMicros(until))
    }

    pub(super) fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let mut index = 0;
        let mut next = || {
            let cell = row.get_ref(index).map(Cell::read);
            index += 1;
            cell
        };
        // The order is that of COLUMNS, then of `select`.
        Ok(Self {
            uuid: next()?,
            name: next()?,
            url: next()?,
            secret: next()?,
            topic_patterns: next()?,
            enabled: next()?,
            consecutive_failures: next()?,
            last_success_at: next()?,
            last_failure_at: next()?,
            last_error: next()?,
            auto_disabled_at: next()?,
            created_at: next()?,
            updated_at: next()?,
            is_enabled: matches!(next()?, Cell::Integer(1)),
            gone_at: next()?,
            settings: next()?,
            headers: next()?,
            paused: next()?,
            old_secrets: next()?,
            deferred_until: next()?,
            deferrals_lifted: next()?,
        })
    }
}

impl Catalog {
    /// Reads all subscriptions, each row by itself: no value in one of them hides another.
    ///
    /// # Errors
    /// Only if the file cannot be read at all, or our tables in it are newer than this program.
    pub fn load(&mut self) -> Result<Snapshot, Error> {
        let Changes { changed: subscriptions, problems, .. } = self.changes(&mut Seen::default())?;
        Ok(Snapshot { subscriptions, problems })
    }

    /// Every row with its judgement, in the order of the table.
    pub(super) fn judged_rows(&self) -> Result<Vec<Judged>, Error> {
        let (mut seen, mut judged) = (FxHashSet::default(), Vec::new());
        self.each_row(|row| {
            let row = RawRow::read(row)?;
            let verdict = if judged.len() < MAX_SUBSCRIPTIONS { judge(&row) } else { Err(TOO_MANY) };
            let verdict = verdict.and_then(|stored| {
                let is_first = seen.insert(stored.subscription.uuid.clone());
                if is_first { Ok(stored) } else { Err(REPEATED) }
            });
            judged.push((row, verdict));
            Ok(())
        })?;
        Ok(judged)
    }

    /// Calls `take` with each row, in the order of the table. The statement, and with it SQLite's read lock, lasts
    /// as long as all of it.
    pub(super) fn each_row(
        &self,
        take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        self.each_row_where("", [], take)
    }

    /// Calls `take` with each row, in which the [`RECORDS`] are NULL. To check and pass on the values of a column is most
    /// of the work of reading it.
    pub(super) fn each_row_without_records(
        &self,
        take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        self.read_rows(Records::Null, "", [], take)
    }

    /// The same of the rows for which a condition of SQL holds, in the order that it names.
    pub(super) fn each_row_where(
        &self,
        condition: &str,
        values: impl rusqlite::Params,
        take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        self.read_rows(Records::Read, condition, values, take)
    }

    /// Selects a row by its place in the table, with all of its columns.
    pub(super) fn select_by_place(&self) -> Result<String, Error> {
        Ok(select(self.side()?, self.trips()?, Records::Read, "WHERE s.rowid = ?1"))
    }

    fn read_rows(
        &self,
        records: Records,
        condition: &str,
        values: impl rusqlite::Params,
        mut take: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), Error> {
        let (side, trips) = (self.side()?, self.trips()?);
        let read = || {
            let mut statement = self.connection.prepare_cached(&select(side, trips, records, condition))?;
            let mut rows = statement.query(values)?;
            while let Some(row) = rows.next()? {
                take(row)?;
            }
            Ok(())
        };
        read().map_err(self.explain())
    }
}

pub(super) const TOO_MANY: Problem =
    Problem::Column { column: "uuid", what: "is one too many: the catalog is too large" };
pub(super) const REPEATED: Problem = Problem::Column { column: "uuid", what: "is that of an earlier row" };

/// What is read of the [`RECORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Records {
    Read,
    Null,
}

fn select(side: Side, trips: Trips, records: Records, condition: &str) -> String {
    let column = |name| if name == TRIPPED_AT { trips.select() } else { bounded("s", name) };
    let mut columns = COLUMNS.map(column);
    if records == Records::Null {
        RECORDS.iter().for_each(|index| columns[*index] = "NULL".to_owned());
    }
    let columns = columns.join(", ");
    let ours = side::columns(side).join(", ");
    let join = match side {
        Side::Absent => "",
        Side::Older(_) | Side::Present => "LEFT JOIN decnet_webhook_settings AS g ON g.uuid = s.uuid",
    };
    let limit = MAX_SUBSCRIPTIONS + 1;
    format!(
        "SELECT {columns}, s.enabled IS 1, {ours}, s.rowid AS place FROM webhook_subscriptions AS s {join} {condition} LIMIT {limit}"
    )
}
