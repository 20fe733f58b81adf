//! Rows for display, valid or not, without their secrets.

use std::fmt;

use decnet_core::limits::{MAX_ERROR_CHARS, MAX_URL_BYTES};
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::{RedactedSettings, Settings};
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use serde::{Serialize, Serializer};

use super::load::RawRow;
use super::sql_value::SqlValue;
use super::validate::{
    StoredSubscription, credentials, display_name, display_uuid, headers, paused, settings,
};

/// A row for display. Serializes to the fields of DECNET's API and the row's problems.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The UUID.
    pub uuid: String,
    /// The name.
    pub name: String,
    /// The complete URL, which may contain a secret. [`Row::redacted_url`] omits secrets.
    pub url: String,
    /// The topic patterns as stored; empty if the column cannot be read.
    pub topic_patterns: Vec<String>,
    /// Whether events are routed to the subscription.
    pub enabled: bool,
    /// The number of consecutive failed deliveries.
    pub consecutive_failures: u32,
    /// The time of the last success.
    pub last_success_at: Option<UnixMicros>,
    /// The time of the last failure.
    pub last_failure_at: Option<UnixMicros>,
    /// The error of the last delivery, if it failed.
    pub last_error: Option<String>,
    /// The time at which the subscription tripped.
    pub auto_disabled_at: Option<UnixMicros>,
    /// The time at which the row was created.
    pub created_at: Option<UnixMicros>,
    /// The time of the last change of the row.
    pub updated_at: Option<UnixMicros>,
    /// Whether the receiver answered 410. The subscription then stays tripped until it is enabled.
    pub gone: bool,
    /// The settings; serialized as [`RedactedSettings`], without secrets.
    #[serde(serialize_with = "redacted")]
    pub settings: Settings,
    /// Whether an operator has paused the subscription. Its deliveries then wait.
    pub paused: bool,
    /// The recorded time before which the receiver wants no requests (`Retry-After`). It may have passed.
    pub deferred_until: Option<UnixMicros>,
    /// The times until which the replaced secrets sign, newest secret first.
    pub old_secrets_until: Vec<UnixMicros>,
    /// The problem that prevents deliveries.
    pub problem: Option<String>,
    /// Whether the problem is that of the filter, the format, the template, the headers or the credentials: the row is valid, and
    /// deliveries wait.
    #[serde(skip)]
    pub is_held: bool,
    /// Problems that do not prevent deliveries.
    pub warnings: Vec<String>,
    /// The meaning of `enabled` and `auto_disabled_at` together.
    #[serde(skip)]
    pub activity: Activity,
}

impl Row {
    /// Returns the URL's scheme, host and port. The rest may contain a secret.
    #[must_use]
    pub fn redacted_url(&self) -> String {
        EndpointUrl::new(&self.url).map_or_else(|_| "(invalid URL)".to_owned(), |url| url.to_string())
    }

    /// Returns the reason why no deliveries are sent, in one or two words; `None` if deliveries are sent.
    #[must_use]
    pub fn parked_by(&self) -> Option<&'static str> {
        match self.activity {
            _ if self.is_held => Some("held"),
            _ if self.problem.is_some() => Some("bad row"),
            Activity::Disabled => Some("disabled"),
            _ if self.paused => Some("paused"),
            Activity::Tripped if self.gone => Some("gone"),
            Activity::Tripped => Some("tripped"),
            Activity::Active => None,
        }
    }

    pub(super) fn new(raw: &RawRow, validated: &Result<StoredSubscription, Problem>) -> Self {
        let at = |value: &SqlValue| value.time().0;
        Self {
            uuid: display_uuid(raw),
            name: display_name(raw),
            url: raw.url.display(MAX_URL_BYTES),
            topic_patterns: patterns(&raw.topic_patterns),
            enabled: raw.activity() == Activity::Active,
            consecutive_failures: raw.consecutive_failures.counter().0,
            last_success_at: at(&raw.last_success_at),
            last_failure_at: at(&raw.last_failure_at),
            last_error: last_error(&raw.last_error),
            auto_disabled_at: at(&raw.auto_disabled_at),
            created_at: at(&raw.created_at),
            updated_at: at(&raw.updated_at),
            gone: raw.is_gone(),
            settings: Settings {
                headers: headers(&raw.headers).unwrap_or_default(),
                credentials: credentials(&raw.credentials).unwrap_or_default(),
                ..settings(&raw.settings).unwrap_or_default()
            },
            paused: paused(&raw.paused).0,
            deferred_until: raw.deferred_until(),
            old_secrets_until: validated
                .iter()
                .flat_map(|stored| &stored.old_secrets)
                .map(|old| old.until)
                .collect(),
            problem: match validated {
                Ok(stored) => stored.hold.as_ref().map(Problem::to_string),
                Err(problem) => Some(problem.to_string()),
            },
            is_held: validated.as_ref().is_ok_and(|stored| stored.hold.is_some()),
            warnings: validated.iter().flat_map(|stored| &stored.warnings).map(Problem::to_string).collect(),
            activity: raw.activity(),
        }
    }
}

impl fmt::Debug for Row {
    /// Omits most of the URL, unlike the JSON, since debug output is written to logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Row");
        debug.field("uuid", &self.uuid).field("name", &self.name).field("url", &self.redacted_url());
        debug.field("activity", &self.activity).field("problem", &self.problem).finish_non_exhaustive()
    }
}

fn patterns(value: &SqlValue) -> Vec<String> {
    let list = value.text().ok().and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
    let texts = list.unwrap_or_default().into_iter();
    texts.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn last_error(value: &SqlValue) -> Option<String> {
    (!matches!(value, SqlValue::Null)).then(|| value.display(MAX_ERROR_CHARS))
}

fn redacted<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    RedactedSettings(settings).serialize(serializer)
}
