//! Validation of rows: a row is a subscription, perhaps with warnings, or it has a problem that prevents deliveries.

use std::fmt;
use std::sync::Arc;

use decnet_core::limits::MAX_NAME_CHARS;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Credentials, Headers, Settings};
use decnet_core::signature::OldSecret;
use decnet_core::subscription::{
    Activity, Problem, Subscription, check_secret, check_secret_form, stored_patterns,
};
use decnet_core::time::UnixMicros;

use super::destination;
use super::load::RawRow;
use super::secret_rotation::from_stored;
use super::sql_value::SqlValue;

/// Maximum length of a row's UUID, in characters. DECNET's UUIDs have 36.
const MAX_UUID_CHARS: usize = 128;

/// A valid row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSubscription {
    /// The values of DECNET's columns.
    pub subscription: Subscription,
    /// Whether a 410 caused the current trip. The receiver is then not probed.
    pub gone: bool,
    /// The settings, including headers and credentials.
    pub settings: Settings,
    /// Whether an operator has paused the subscription. Its deliveries then wait.
    pub paused: bool,
    /// The problem of the filter, the format, the template, the headers or the credentials because of which deliveries wait, if there
    /// is one.
    pub hold: Option<Problem>,
    /// The recorded time before which the receiver wants no requests (`Retry-After`). It may have passed.
    pub deferred_until: Option<UnixMicros>,
    /// The number of times that an operator has cancelled a deferral by the receiver.
    pub deferrals_lifted: i64,
    /// The replaced secrets that sign in addition to the current secret, newest first. Some may have expired: see
    /// [`OldSecret::until`].
    pub old_secrets: Box<[OldSecret]>,
    /// Invalid values that were replaced by defaults or ignored.
    pub warnings: Vec<Problem>,
    /// The state of the row when it was read. Results of its use are recorded only while the row is in this state.
    pub version: Arc<RowVersion>,
}

impl StoredSubscription {
    /// Returns whether deliveries wait although the subscription may be open: an operator has paused it, or its filter, format,
    /// headers or credentials cannot be used.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.paused || self.hold.is_some()
    }

    /// Returns the hold and the warnings, each with the row's UUID and name.
    pub fn row_warnings(&self) -> impl Iterator<Item = RowProblem> {
        let Subscription { uuid, name, .. } = &self.subscription;
        self.hold.iter().chain(&self.warnings).map(|warning| RowProblem {
            uuid: uuid.to_string(),
            name: name.to_string(),
            problem: warning.to_string(),
        })
    }
}

/// The state of a row that attempts use. Holds the unmodified values of the columns.
#[derive(Clone, PartialEq, Eq)]
pub struct RowVersion {
    pub(super) uuid: Box<str>,
    pub(super) url: Box<str>,
    pub(super) secret: Secret,
    pub(super) activity: Activity,
}

impl RowVersion {
    /// Returns the row's UUID.
    #[must_use]
    pub fn uuid(&self) -> &str {
        &self.uuid
    }

    /// Returns whether the row was enabled, tripped or disabled.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Returns the version of the row after its activity was changed by [`Catalog::record`](super::Catalog::record).
    #[must_use]
    pub fn with_activity(&self, activity: Activity) -> Self {
        Self { activity, ..self.clone() }
    }
}

impl fmt::Debug for RowVersion {
    /// Omits the secret, and the URL because it may contain a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("RowVersion");
        debug.field("uuid", &self.uuid).field("activity", &self.activity).finish_non_exhaustive()
    }
}

/// A problem or a warning of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowProblem {
    /// The row's UUID, escaped and cut for display. It is the same after every load.
    pub uuid: String,
    /// The row's name, escaped and cut for display.
    pub name: String,
    /// The problem, without any secret.
    pub problem: String,
}

impl RowProblem {
    pub(super) fn new(row: &RawRow, problem: &Problem) -> Self {
        Self { uuid: display_uuid(row), name: display_name(row), problem: problem.to_string() }
    }
}

/// Returns the row's UUID for display. A valid UUID is unchanged.
pub(super) fn display_uuid(row: &RawRow) -> String {
    row.uuid.display(MAX_UUID_CHARS)
}

/// Returns the row's name for display. A valid name is unchanged.
pub(super) fn display_name(row: &RawRow) -> String {
    row.name.display(MAX_NAME_CHARS)
}

/// Validates a row.
///
/// # Errors
/// The problem that prevents deliveries.
pub(super) fn validate(row: &RawRow) -> Result<StoredSubscription, Problem> {
    let uuid = uuid(row)?;
    let (url, secret) = (text(&row.url, "url")?, text(&row.secret, "secret")?);
    if secret.is_empty() {
        return Err(Problem::Column { column: "secret", what: "is empty, so deliveries cannot be signed" });
    }
    let endpoint = EndpointUrl::new(url)?;
    let (patterns, mut warnings) = stored_patterns(text(&row.topic_patterns, "topic_patterns")?)?;
    warnings.extend(column_warnings(row));
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
    let (settings, hold) = whole_settings(row, &subscription.url, &mut warnings);
    let (paused, is_invalid) = paused(&row.paused);
    if is_invalid {
        warnings.push(Problem::Column { column: "paused", what: "is neither 0 nor 1; it is paused" });
    }
    let old_secrets = from_stored(&row.old_secrets).unwrap_or_else(|()| {
        let what = "cannot be read; only the current secret signs";
        warnings.push(Problem::Column { column: "old_secrets", what });
        Vec::new()
    });
    let old_secrets = old_secrets.into_iter().filter(|old| old.secret != subscription.secret).collect();
    Ok(StoredSubscription {
        subscription,
        gone: row.is_gone(),
        hold,
        settings,
        paused,
        deferred_until: row.deferred_until(),
        deferrals_lifted: if let SqlValue::Integer(lifted) = row.deferrals_lifted { lifted } else { 0 },
        old_secrets,
        warnings,
        version: Arc::new(version),
    })
}

/// Returns the settings with headers and credentials, and the problem because of which deliveries wait, if there is one.
fn whole_settings(
    row: &RawRow,
    url: &EndpointUrl,
    warnings: &mut Vec<Problem>,
) -> (Settings, Option<Problem>) {
    let mut hold = row.locked.clone();
    let settings = settings(&row.settings).unwrap_or_else(|problem| {
        warnings.push(problem);
        if let SqlValue::Text(stored) = &row.settings {
            hold = hold.take().or_else(|| destination::unreadable(stored));
        }
        Settings::default()
    });
    let headers = headers(&row.headers).unwrap_or_else(|problem| {
        hold.get_or_insert(problem);
        Headers::default()
    });
    let credentials = credentials(&row.credentials).unwrap_or_else(|problem| {
        hold.get_or_insert(problem);
        Credentials::default()
    });
    let settings = Settings { headers, credentials, ..settings };
    let hold = hold.or_else(|| destination::check(&settings).err());
    warnings.extend(authorization(&settings, url).err());
    if !settings.unknown.is_empty() {
        warnings
            .push(Problem::UnknownSettings(settings.unknown.names().collect::<Vec<_>>().join(", ").into()));
    }
    (settings, hold)
}

/// Checks that at most one of the URL, the headers and the credentials has an `authorization`.
pub(super) fn authorization(settings: &Settings, url: &EndpointUrl) -> Result<(), Problem> {
    let Settings { headers, credentials, .. } = settings;
    headers.check_with_url(url).map_err(|error| Problem::Settings(error.into()))?;
    credentials.check(url, headers).map_err(|error| Problem::Settings(error.into()))
}

/// Returns the headers of a row. With invalid headers deliveries wait: a request without its headers would be rejected or
/// misinterpreted.
pub(super) fn headers(value: &SqlValue) -> Result<Headers, Problem> {
    let invalid = Problem::Column { column: "headers", what: "cannot be read; set the headers again" };
    match value {
        SqlValue::Null => Ok(Headers::default()),
        value => value.text().ok().and_then(|text| Headers::from_stored(text).ok()).ok_or(invalid),
    }
}

/// Returns the credentials of a row. With invalid credentials deliveries wait, as with invalid headers.
pub(super) fn credentials(value: &SqlValue) -> Result<Credentials, Problem> {
    let invalid =
        Problem::Column { column: "credentials", what: "cannot be read; set the credentials again" };
    match value {
        SqlValue::Null => Ok(Credentials::default()),
        value => value.text().ok().and_then(|text| Credentials::from_stored(text).ok()).ok_or(invalid),
    }
}

/// Returns whether the row is paused, and whether the value is invalid. An invalid value counts as paused.
pub(super) fn paused(value: &SqlValue) -> (bool, bool) {
    match value {
        SqlValue::Null | SqlValue::Integer(0) => (false, false),
        value => (true, !matches!(value, SqlValue::Integer(1))),
    }
}

/// Returns the settings of a row, without headers and credentials.
pub(super) fn settings(value: &SqlValue) -> Result<Settings, Problem> {
    let invalid = Problem::Column { column: "settings", what: "cannot be read; the defaults are used" };
    match value {
        SqlValue::Null => Ok(Settings::default()),
        value => value.text().ok().and_then(|text| serde_json::from_str(text).ok()).ok_or(invalid),
    }
}

fn uuid(row: &RawRow) -> Result<&str, Problem> {
    let invalid = |what| Problem::Column { column: "uuid", what };
    match text(&row.uuid, "uuid")? {
        "" => Err(invalid("is empty")),
        uuid if uuid.chars().any(char::is_control) => Err(invalid("has control characters")),
        uuid if uuid.chars().nth(MAX_UUID_CHARS).is_some() => Err(invalid("is too long")),
        uuid => Ok(uuid),
    }
}

/// Returns the name for display, or the UUID if the name is empty. Names are only displayed, so any text is valid.
fn name(row: &RawRow) -> Result<String, Problem> {
    match text(&row.name, "name")? {
        "" => Ok(display_uuid(row)),
        _ => Ok(display_name(row)),
    }
}

fn text<'a>(value: &'a SqlValue, column: &'static str) -> Result<&'a str, Problem> {
    value.text().map_err(|what| Problem::Column { column, what })
}

/// Returns the problems of columns that do not prevent deliveries.
fn column_warnings(row: &RawRow) -> impl Iterator<Item = Problem> {
    let name = row.name.text().is_ok_and(|name| name.is_empty() || name != display_name(row));
    let enabled = !matches!(row.enabled, SqlValue::Integer(0 | 1));
    let error = !matches!(row.last_error, SqlValue::Null | SqlValue::Text(_));
    let time = |value: &SqlValue| value.time().1;
    [
        (name, "name", "is empty, too long or has control characters; it is displayed differently"),
        (enabled, "enabled", "is neither 0 nor 1; only 1 counts as enabled"),
        (row.consecutive_failures.counter().1, "consecutive_failures", "is not a count"),
        (time(&row.last_success_at), "last_success_at", INVALID_TIME),
        (time(&row.last_failure_at), "last_failure_at", INVALID_TIME),
        (error, "last_error", "is not text"),
        (time(&row.auto_disabled_at), "auto_disabled_at", INVALID_TIME),
        (time(&row.created_at), "created_at", INVALID_TIME),
        (time(&row.updated_at), "updated_at", INVALID_TIME),
    ]
    .into_iter()
    .filter(|(is_invalid, ..)| *is_invalid)
    .map(|(_, column, what)| Problem::Column { column, what })
}

const INVALID_TIME: &str = "is not a time like 2026-04-24 00:00:00.000000";
