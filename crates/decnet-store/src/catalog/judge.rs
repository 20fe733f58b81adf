//! What a row is good for: a subscription, perhaps with complaints, or a problem that costs the others nothing.

use std::fmt;
use std::sync::Arc;

use decnet_core::limits::MAX_NAME_CHARS;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Headers, Settings};
use decnet_core::subscription::{
    Activity, Problem, Subscription, check_secret, check_secret_form, stored_patterns,
};
use decnet_core::time::UnixMicros;

use super::cell::Cell;
use super::load::RawRow;
use super::overlap::{OldSecret, from_stored};

/// Longest key of a row, in characters; DECNET's have 36.
const MAX_UUID_CHARS: usize = 128;

/// A row that can be dispatched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What its columns say.
    pub subscription: Subscription,
    /// Its receiver answered 410 and it has not been enabled or tripped anew since: it is not probed.
    pub gone: bool,
    /// What it asks for beyond its row.
    pub settings: Settings,
    /// Nothing is sent until an operator resumes it; what is routed to it waits.
    pub paused: bool,
    /// Before then its receiver has asked to be sent nothing (`Retry-After`), as a worker last noted it.
    pub deferred_until: Option<UnixMicros>,
    /// How often an operator has lifted that.
    pub deferrals_lifted: i64,
    /// What signs beside its secret, newest first, perhaps for no longer: see [`OldSecret::until`].
    pub old_secrets: Box<[OldSecret]>,
    /// What is wrong with the row and was mended or left out: it works all the same.
    pub warnings: Vec<Problem>,
    /// Names this very state of the row; what is learned by using it is recorded only while it lasts.
    pub version: Arc<RowVersion>,
}

impl Stored {
    /// The warnings as they are said, each naming the row.
    pub fn complaints(&self) -> impl Iterator<Item = RowProblem> {
        let Subscription { uuid, name, .. } = &self.subscription;
        let said = |what: &Problem| RowProblem {
            uuid: uuid.to_string(),
            name: name.to_string(),
            what: what.to_string(),
        };
        self.warnings.iter().map(said)
    }
}

/// The state of a row that attempts were made with, raw as the columns hold it.
#[derive(Clone, PartialEq, Eq)]
pub struct RowVersion {
    pub(super) uuid: Box<str>,
    pub(super) url: Box<str>,
    pub(super) secret: Secret,
    pub(super) activity: Activity,
}

impl RowVersion {
    /// The row's key.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Was it enabled, tripped or disabled?
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// The same row with another activity, as it is after a change of ours was recorded.
    #[must_use]
    pub fn with_activity(&self, activity: Activity) -> Self {
        Self { activity, ..self.clone() }
    }
}

impl fmt::Debug for RowVersion {
    /// Leaves out the URL, which may carry a token as well as the secret does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RowVersion");
        shown.field("uuid", &self.uuid).field("activity", &self.activity).finish_non_exhaustive()
    }
}

/// A row that cannot be dispatched to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// Its key, as far as it can be shown; the same at every load.
    pub uuid: String,
    /// Its name, as far as it can be shown.
    pub name: String,
    /// What is wrong, without any secret.
    pub what: String,
}

impl RowProblem {
    pub(super) fn new(row: &RawRow, what: &Problem) -> Self {
        Self { uuid: shown_uuid(row), name: shown_name(row), what: what.to_string() }
    }
}

/// The key as it is shown and, where it is sound, as it is.
pub(super) fn shown_uuid(row: &RawRow) -> String {
    row.uuid.shown(MAX_UUID_CHARS)
}

/// The name as it is shown and, where it is sound, as it is.
pub(super) fn shown_name(row: &RawRow) -> String {
    row.name.shown(MAX_NAME_CHARS)
}

/// Reads a row for what it can be used for.
pub(super) fn judge(row: &RawRow) -> Result<Stored, Problem> {
    let uuid = uuid(row)?;
    let (url, secret) = (text(&row.url, "url")?, text(&row.secret, "secret")?);
    if secret.is_empty() {
        return Err(Problem::Column { column: "secret", what: "is empty, so nothing can be signed" });
    }
    let endpoint = EndpointUrl::new(url)?;
    let (patterns, mut warnings) = stored_patterns(text(&row.topic_patterns, "topic_patterns")?)?;
    warnings.extend(complaints(row));
    warnings.extend(check_secret(secret).err());
    warnings.extend(check_secret_form(secret).err());
    let (secret, activity) = (Secret::new(secret), row.activity());
    let version = RowVersion { uuid: uuid.into(), url: url.into(), secret: secret.clone(), activity };
    let subscription = Subscription {
        uuid: uuid.into(),
        name: name(row)?.into(),
        url: endpoint,
        secret,
        patterns,
        activity,
        consecutive_failures: row.consecutive_failures.counter().0,
    };
    let (settings, gone) = (asked_for(row, &subscription.url, &mut warnings)?, row.is_gone());
    let (paused, is_odd) = paused(&row.paused);
    warnings.extend(
        is_odd.then_some(Problem::Column { column: "paused", what: "is neither 0 nor 1; it is paused" }),
    );
    let old_secrets = from_stored(&row.old_secrets).unwrap_or_else(|()| {
        warnings
            .push(Problem::Column { column: "old_secrets", what: "cannot be read; only its secret signs" });
        Vec::new()
    });
    let old_secrets = old_secrets.into_iter().filter(|old| old.secret != subscription.secret).collect();
    Ok(Stored {
        subscription,
        gone,
        settings,
        paused,
        deferred_until: row.deferred_until(),
        deferrals_lifted: if let Cell::Integer(lifted) = row.deferrals_lifted { lifted } else { 0 },
        old_secrets,
        warnings,
        version: Arc::new(version),
    })
}

/// The settings of a row, headers and all.
fn asked_for(row: &RawRow, url: &EndpointUrl, warnings: &mut Vec<Problem>) -> Result<Settings, Problem> {
    let mut settings = settings(&row.settings).unwrap_or_else(|problem| {
        warnings.push(problem);
        Settings::default()
    });
    settings.headers = headers(&row.headers)?;
    warnings
        .extend(settings.headers.check_beside(url).map_err(|error| Problem::Settings(error.into())).err());
    if !settings.unknown.is_empty() {
        warnings
            .push(Problem::UnknownSettings(settings.unknown.names().collect::<Vec<_>>().join(", ").into()));
    }
    Ok(settings)
}

/// The headers of a row of ours. Without them its requests would be refused, or worse, so nothing is sent where they
/// cannot be read.
pub(super) fn headers(cell: &Cell) -> Result<Headers, Problem> {
    let bad = Problem::Column { column: "headers", what: "cannot be read; set them again" };
    match cell {
        Cell::Null => Ok(Headers::default()),
        cell => cell.text().ok().and_then(|text| Headers::from_stored(text).ok()).ok_or(bad),
    }
}

/// Is it paused, and is that not quite sure? What may be meant to be paused is.
pub(super) fn paused(cell: &Cell) -> (bool, bool) {
    match cell {
        Cell::Null | Cell::Integer(0) => (false, false),
        cell => (true, !matches!(cell, Cell::Integer(1))),
    }
}

/// The settings of a row of ours; a subscription without one has none.
pub(super) fn settings(cell: &Cell) -> Result<Settings, Problem> {
    let bad = Problem::Column { column: "settings", what: "cannot be read; the defaults are used" };
    match cell {
        Cell::Null => Ok(Settings::default()),
        cell => cell.text().ok().and_then(|text| serde_json::from_str(text).ok()).ok_or(bad),
    }
}

fn uuid(row: &RawRow) -> Result<&str, Problem> {
    let bad = |what| Problem::Column { column: "uuid", what };
    match text(&row.uuid, "uuid")? {
        "" => Err(bad("is empty")),
        uuid if uuid.chars().any(char::is_control) => Err(bad("has control characters")),
        uuid if uuid.chars().nth(MAX_UUID_CHARS).is_some() => Err(bad("is too long")),
        uuid => Ok(uuid),
    }
}

/// A name is only shown, so any text will do once it can be shown; an empty one is replaced by the key.
fn name(row: &RawRow) -> Result<String, Problem> {
    match text(&row.name, "name")? {
        "" => Ok(shown_uuid(row)),
        _ => Ok(shown_name(row)),
    }
}

fn text<'a>(cell: &'a Cell, column: &'static str) -> Result<&'a str, Problem> {
    cell.text().map_err(|what| Problem::Column { column, what })
}

/// What is wrong with the columns that do not stand in the way of a delivery.
fn complaints(row: &RawRow) -> impl Iterator<Item = Problem> {
    let name = row.name.text().is_ok_and(|name| name.is_empty() || name != shown_name(row));
    let enabled = !matches!(row.enabled, Cell::Integer(0 | 1));
    let error = !matches!(row.last_error, Cell::Null | Cell::Text(_));
    let time = |cell: &Cell| cell.time().1;
    [
        (name, "name", "cannot be shown as it is"),
        (enabled, "enabled", "is neither 0 nor 1; only 1 counts as enabled"),
        (row.consecutive_failures.counter().1, "consecutive_failures", "is no count"),
        (time(&row.last_success_at), "last_success_at", NO_TIME),
        (time(&row.last_failure_at), "last_failure_at", NO_TIME),
        (error, "last_error", "is no text"),
        (time(&row.auto_disabled_at), "auto_disabled_at", NO_TIME),
        (time(&row.created_at), "created_at", NO_TIME),
        (time(&row.updated_at), "updated_at", NO_TIME),
    ]
    .into_iter()
    .filter(|(bad, ..)| *bad)
    .map(|(_, column, what)| Problem::Column { column, what })
}

const NO_TIME: &str = "is no time like 2026-04-24 00:00:00.000000";
