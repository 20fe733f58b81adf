//! Writing down what came of deliveries, without ever touching a row that somebody changed meanwhile.

use std::sync::Arc;

use decnet_core::limits::MAX_ERROR_CHARS;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use rusqlite::types::Value;
use rusqlite::{Transaction, params_from_iter};

use super::error::Error;
use super::judge::RowVersion;
use super::open::Catalog;
use super::side::{self, Side};
use super::trips::Trips;

/// The most that `consecutive_failures` counts to: the column is 32 bits wide in DECNET's other databases.
const MAX_COUNTER: i64 = i32::MAX as i64;

/// What happened to one subscription's deliveries since its last update was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUpdate {
    /// The row that the attempts used, from [`Stored::version`](super::Stored::version).
    pub version: Arc<RowVersion>,
    /// The latest success, if there was one.
    pub last_success_at: Option<UnixMicros>,
    /// How many deliveries failed that count towards the trip: after that success, or all if there was none.
    pub failures: u32,
    /// The latest failure, if there was one, whether it counts or not.
    pub last_failure: Option<LastFailure>,
    /// What its receiver asks for.
    pub deferral: Deferral,
    /// What becomes of the subscription itself.
    pub change: Change,
}

/// Whether a receiver has asked to be sent nothing for a while (`Retry-After`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deferral {
    /// What is noted stays.
    #[default]
    Keep,
    /// It has, until then.
    Until(UnixMicros),
    /// It has not: what is noted was another receiver's wish.
    None,
}

/// A failure as the row shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// When it was.
    pub at: UnixMicros,
    /// Why, cut at [`MAX_ERROR_CHARS`] when it is written; it must hold no secret.
    pub error: Box<str>,
}

/// A change of a subscription that deliveries brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    None,
    /// Too many failures in a row: `enabled = 0` with a stamp, to be probed.
    Trip,
    /// Its receiver said 410: the same as a trip, but not to be probed.
    Gone,
    /// A probe got through: enabled again, as an operator would.
    Reopen,
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It is in the row.
    Applied,
    /// The row is another one by now (URL, secret, enabled) or deleted: it was left alone.
    Stale,
}

impl HealthUpdate {
    /// An update with nothing in it yet.
    #[must_use]
    pub fn new(version: Arc<RowVersion>) -> Self {
        Self {
            version,
            last_success_at: None,
            failures: 0,
            last_failure: None,
            deferral: Deferral::Keep,
            change: Change::None,
        }
    }

    /// Returns whether something in it has no place in DECNET's columns.
    fn needs_our_table(&self) -> bool {
        self.change == Change::Gone || matches!(self.deferral, Deferral::Until(_))
    }

    /// Did the latest event fail? Of two at the same moment a failure that counts came after.
    fn failure_is_latest(&self) -> Option<&LastFailure> {
        let success = self.last_success_at;
        self.last_failure
            .as_ref()
            .filter(|failure| self.failures > 0 || success.is_none_or(|at| failure.at > at))
    }
}

impl Catalog {
    /// Records many updates in one transaction; the results are in the order of the updates.
    ///
    /// Each applies only to the row version that its attempts used, so a late result never spoils what an
    /// operator has just mended. Counters are added to within the statement: concurrent writers lose nothing.
    ///
    /// # Errors
    /// Nothing was recorded: locked by others for too long, no permission, disk full, damaged.
    pub fn record(&mut self, updates: &[HealthUpdate], now: UnixMicros) -> Result<Vec<Recorded>, Error> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        self.write(|transaction, mut side| {
            if side == Side::Absent && updates.iter().any(HealthUpdate::needs_our_table) {
                side::make(transaction)?;
                side = Side::Present;
            }
            let trips = Trips::detect(transaction)?;
            updates
                .iter()
                .map(|update| apply(transaction, update, now, side, trips))
                .collect::<Result<_, _>>()
                .map(Ok)
        })
    }
}

fn apply(
    transaction: &Transaction<'_>,
    update: &HealthUpdate,
    now: UnixMicros,
    side: Side,
    trips: Trips,
) -> rusqlite::Result<Recorded> {
    let (sql, values) = Assignments::of(update, now, trips).fenced(&update.version, trips);
    if transaction.prepare_cached(&sql)?.execute(params_from_iter(values))? == 0 {
        return Ok(Recorded::Stale);
    }
    let uuid = &update.version.uuid;
    match update.change {
        Change::None if update.version.activity == Activity::Tripped => {
            trips.restamp(transaction, uuid, now)?;
        }
        Change::None => {}
        Change::Trip => trips.set(transaction, uuid, now)?,
        Change::Gone => {
            trips.set(transaction, uuid, now)?;
            side::set_gone(transaction, uuid, now)?;
        }
        Change::Reopen => {
            trips.clear(transaction, uuid)?;
            if side == Side::Present {
                side::clear_gone(transaction, uuid)?;
            }
        }
    }
    match update.deferral {
        Deferral::Until(until) => side::set_deferred_until(transaction, uuid, Some(until))?,
        Deferral::None if side == Side::Present => side::set_deferred_until(transaction, uuid, None)?,
        Deferral::None | Deferral::Keep => {}
    }
    Ok(Recorded::Applied)
}

/// The columns that an update changes, and no others.
#[derive(Default)]
struct Assignments {
    sql: String,
    values: Vec<Value>,
}

impl Assignments {
    fn of(update: &HealthUpdate, now: UnixMicros, trips: Trips) -> Self {
        let mut assign = Self::default();
        assign.counter(update);
        assign.outcomes(update);
        match update.change {
            Change::None => {}
            Change::Trip | Change::Gone => assign.set("enabled = 0", []),
            Change::Reopen => assign.set("enabled = 1", []),
        }
        assign.trip(update.change, now, trips);
        assign.set("updated_at = ?", [text(now.to_sqlite())]);
        assign
    }

    /// Assigns to the column of trips, where there is one.
    fn trip(&mut self, change: Change, now: UnixMicros, trips: Trips) {
        match change {
            Change::Trip | Change::Gone if trips.has_column() => {
                self.set("auto_disabled_at = ?", [text(now.to_sqlite())]);
            }
            Change::Reopen if trips.has_column() => self.set("auto_disabled_at = NULL", []),
            Change::None | Change::Trip | Change::Gone | Change::Reopen => {}
        }
    }

    /// A success, or a probe that got through, starts the count anew; else it goes on from whatever is there,
    /// even from what is no count.
    fn counter(&mut self, update: &HealthUpdate) {
        let failures = [Value::Integer(i64::from(update.failures))];
        if update.last_success_at.is_some() || update.change == Change::Reopen {
            self.set("consecutive_failures = ?", failures);
        } else if update.failures > 0 {
            let counted = "MAX(0, COALESCE(CAST(consecutive_failures AS INTEGER), 0))";
            self.set(&format!("consecutive_failures = MIN({counted} + ?, {MAX_COUNTER})"), failures);
        }
    }

    fn outcomes(&mut self, update: &HealthUpdate) {
        if let Some(at) = update.last_success_at {
            self.set("last_success_at = ?", [text(at.to_sqlite())]);
        }
        if let Some(failure) = &update.last_failure {
            self.set("last_failure_at = ?", [text(failure.at.to_sqlite())]);
        }
        let reopens = update.change == Change::Reopen;
        match update.failure_is_latest().filter(|_| !reopens) {
            Some(failure) => self.set("last_error = ?", [text(cut(&failure.error).to_owned())]),
            None if reopens || update.last_success_at.is_some() => self.set("last_error = NULL", []),
            None => {}
        }
    }

    fn set<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        if !self.sql.is_empty() {
            self.sql.push_str(", ");
        }
        self.sql.push_str(sql);
        self.values.extend(values);
    }

    /// The statement that changes the row only while it is still that version.
    fn fenced(mut self, version: &RowVersion, trips: Trips) -> (String, Vec<Value>) {
        let activity = match version.activity {
            Activity::Active => "enabled IS 1".to_owned(),
            Activity::Tripped => format!("enabled IS NOT 1 AND {}", trips.condition()),
            Activity::Disabled => format!("enabled IS NOT 1 AND NOT {}", trips.condition()),
        };
        let fence =
            [&version.uuid, &version.url, version.secret.expose()].map(|part: &str| text(part.to_owned()));
        self.values.extend(fence);
        let assignments = self.sql;
        let sql = format!(
            "UPDATE webhook_subscriptions SET {assignments} WHERE uuid = ? AND url = ? AND secret = ? AND {activity}"
        );
        (sql, self.values)
    }
}

fn text(text: String) -> Value {
    Value::Text(text)
}

fn cut(error: &str) -> &str {
    error.char_indices().nth(MAX_ERROR_CHARS).map_or(error, |(end, _)| &error[..end])
}
