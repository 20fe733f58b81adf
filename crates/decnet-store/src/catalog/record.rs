//! Recording delivery results, only in rows that have not changed since the attempts started.

use std::sync::Arc;

use decnet_core::limits::MAX_ERROR_CHARS;
use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use rusqlite::Connection;
use rusqlite::types::{Null, Value};

use super::assignments::{Assignments, text};
use super::error::Error;
use super::extension_table::{ExtensionRow, ExtensionTable};
use super::open::Catalog;
use super::trips::Trips;
use super::validate::RowVersion;

/// Maximum of `consecutive_failures`: the column has 32 bits in the other databases that DECNET supports.
const MAX_COUNTER: i64 = i32::MAX as i64;

/// The results of a subscription's deliveries since the last recorded update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUpdate {
    /// The version of the row that the attempts used, from [`StoredSubscription::version`](super::StoredSubscription::version).
    pub version: Arc<RowVersion>,
    /// The time of the last success.
    pub last_success_at: Option<UnixMicros>,
    /// The number of failures that count towards a trip, after the last success if there was one.
    pub failures: u32,
    /// The last failure, whether it counts or not.
    pub last_failure: Option<LastFailure>,
    /// The receiver's request for a deferral.
    pub deferral: Deferral,
    /// The change of the circuit.
    pub change: CircuitChange,
}

/// A receiver's request for a deferral (`Retry-After`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deferral {
    /// The recorded time remains unchanged.
    #[default]
    Keep,
    /// The receiver wants no requests before this time.
    Until(UnixMicros),
    /// The recorded time is removed, because another receiver requested it.
    None,
}

/// The failure that a row displays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastFailure {
    /// The time of the failure.
    pub at: UnixMicros,
    /// The error, truncated to [`MAX_ERROR_CHARS`] when it is written. It must not contain a secret.
    pub error: Box<str>,
}

/// A change of a subscription's circuit breaker as the result of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CircuitChange {
    /// No change.
    #[default]
    None,
    /// Too many consecutive failures: sets `enabled = 0` and the time of the trip. The receiver is then probed.
    Trip,
    /// The receiver answered 410: like a trip, but the receiver is not probed.
    Gone,
    /// A probe succeeded: sets `enabled = 1`.
    Reopen,
}

/// The outcome of recording an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordOutcome {
    /// The row was updated.
    Applied,
    /// The row was not updated, since its URL, secret or activity has changed or it was deleted.
    Stale,
}

impl HealthUpdate {
    /// Returns an update without results.
    #[must_use]
    pub fn new(version: Arc<RowVersion>) -> Self {
        Self {
            version,
            last_success_at: None,
            failures: 0,
            last_failure: None,
            deferral: Deferral::Keep,
            change: CircuitChange::None,
        }
    }

    /// Returns whether the update needs the extension table.
    fn needs_extension_table(&self) -> bool {
        self.change == CircuitChange::Gone || matches!(self.deferral, Deferral::Until(_))
    }

    /// Returns the last failure if no success came after it. If the times are equal, a counted failure is treated as later than
    /// the success.
    fn final_failure(&self) -> Option<&LastFailure> {
        let success = self.last_success_at;
        self.last_failure
            .as_ref()
            .filter(|failure| self.failures > 0 || success.is_none_or(|at| failure.at > at))
    }
}

impl Catalog {
    /// Records updates in one transaction. Returns their outcomes in the same order.
    ///
    /// An update applies only to the version of the row that its attempts used, so a late result does not affect a row that an
    /// operator has just changed. SQL statements increment the counters, so concurrent updates are not lost.
    ///
    /// # Errors
    /// The file cannot be written. In that case nothing was recorded.
    pub fn record(&mut self, updates: &[HealthUpdate], now: UnixMicros) -> Result<Vec<RecordOutcome>, Error> {
        if updates.is_empty() {
            return Ok(Vec::new());
        }
        self.write_unrecorded(|transaction, mut extension| {
            if updates.iter().any(HealthUpdate::needs_extension_table) {
                extension.ensure(transaction)?;
            }
            let trips = Trips::detect(transaction)?;
            let apply = |update| apply(transaction, update, now, extension, trips);
            Ok(updates.iter().map(apply).collect::<Result<_, _>>()?)
        })
    }
}

fn apply(
    conn: &Connection,
    update: &HealthUpdate,
    now: UnixMicros,
    extension: ExtensionTable,
    trips: Trips<'_>,
) -> rusqlite::Result<RecordOutcome> {
    let version = &update.version;
    let activity = match version.activity {
        Activity::Active => "enabled IS 1".to_owned(),
        Activity::Tripped => format!("enabled IS NOT 1 AND {}", trips.condition()),
        Activity::Disabled => format!("enabled IS NOT 1 AND NOT {}", trips.condition()),
    };
    let condition = format!("uuid = ? AND url = ? AND secret = ? AND {activity}");
    let values = [&version.uuid, &version.url, version.secret.expose()].map(|part: &str| text(part));
    if Assignments::of(update, now, trips).update(conn, &condition, values)? == 0 {
        return Ok(RecordOutcome::Stale);
    }
    let (uuid, row) = (&*version.uuid, ExtensionRow { conn, uuid: &version.uuid });
    match update.change {
        CircuitChange::None if version.activity == Activity::Tripped => trips.keep_after_update(uuid, now)?,
        CircuitChange::None => {}
        CircuitChange::Trip => trips.set(uuid, now)?,
        CircuitChange::Gone => {
            trips.set(uuid, now)?;
            row.set("gone_at", now.0)?;
        }
        CircuitChange::Reopen => {
            trips.clear(uuid)?;
            if extension == ExtensionTable::Present {
                row.clear_gone()?;
            }
        }
    }
    match update.deferral {
        Deferral::Until(until) => row.set("deferred_until", until.0)?,
        Deferral::None if extension == ExtensionTable::Present => row.set("deferred_until", Null)?,
        Deferral::None | Deferral::Keep => {}
    }
    Ok(RecordOutcome::Applied)
}

impl Assignments {
    fn of(update: &HealthUpdate, now: UnixMicros, trips: Trips<'_>) -> Self {
        let mut assign = Self::default();
        assign.counter(update);
        assign.outcomes(update);
        assign.circuit(update.change, now, trips);
        assign.set("updated_at = ?", [text(now.to_sqlite())]);
        assign
    }

    /// Assigns whether the row is enabled, and the time of the trip if the table has the column.
    fn circuit(&mut self, change: CircuitChange, now: UnixMicros, trips: Trips<'_>) {
        let (enabled, tripped_at) = match change {
            CircuitChange::None => return,
            CircuitChange::Trip | CircuitChange::Gone => ("enabled = 0", text(now.to_sqlite())),
            CircuitChange::Reopen => ("enabled = 1", Value::Null),
        };
        self.set(enabled, []);
        if trips.has_column() {
            self.set("auto_disabled_at = ?", [tripped_at]);
        }
    }

    /// Assigns the number of consecutive failures. A success or a reopened circuit resets it; otherwise it is incremented, even
    /// if the column's value is not a number.
    fn counter(&mut self, update: &HealthUpdate) {
        let failures = [Value::Integer(i64::from(update.failures))];
        if update.last_success_at.is_some() || update.change == CircuitChange::Reopen {
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
        let reopens = update.change == CircuitChange::Reopen;
        match update.final_failure().filter(|_| !reopens) {
            Some(failure) => self.set("last_error = ?", [text(cut(&failure.error))]),
            None if reopens || update.last_success_at.is_some() => self.set("last_error = NULL", []),
            None => {}
        }
    }
}

fn cut(error: &str) -> &str {
    error.char_indices().nth(MAX_ERROR_CHARS).map_or(error, |(end, _)| &error[..end])
}
