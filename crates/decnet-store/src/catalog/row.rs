//! A row as an operator sees it, bad or good, without its secret.

use std::fmt;

use decnet_core::limits::{MAX_ERROR_CHARS, MAX_URL_BYTES};
use decnet_core::redact::EndpointUrl;
use decnet_core::settings::{Settings, Shown};
use decnet_core::subscription::{Activity, Problem};
use decnet_core::time::UnixMicros;
use serde::{Serialize, Serializer};

use super::cell::Cell;
use super::judge::{Stored, headers, paused, settings, shown_name, shown_uuid};
use super::load::RawRow;

/// One subscription's row, for showing. Serialises to what DECNET's API shows of it, and what is wrong with it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its key.
    pub uuid: String,
    /// Its name.
    pub name: String,
    /// Its whole URL, which may be a secret: see [`Row::shown_url`] for where others look on.
    pub url: String,
    /// Its patterns, as they are stored; none if the column cannot be read.
    pub topic_patterns: Vec<String>,
    /// Does it get events now?
    pub enabled: bool,
    /// Deliveries failed in a row.
    pub consecutive_failures: u32,
    /// The latest success.
    #[serde(serialize_with = "iso8601")]
    pub last_success_at: Option<UnixMicros>,
    /// The latest failure.
    #[serde(serialize_with = "iso8601")]
    pub last_failure_at: Option<UnixMicros>,
    /// Why the latest delivery failed, if it did.
    pub last_error: Option<String>,
    /// When it tripped, if it did.
    #[serde(serialize_with = "iso8601")]
    pub auto_disabled_at: Option<UnixMicros>,
    /// When it was made.
    #[serde(serialize_with = "iso8601")]
    pub created_at: Option<UnixMicros>,
    /// When anything in it was changed last.
    #[serde(serialize_with = "iso8601")]
    pub updated_at: Option<UnixMicros>,
    /// Its receiver answered 410: it stays tripped until it is enabled.
    pub gone: bool,
    /// What it asks for beyond its row; serialises as [`Shown`], without any secret.
    #[serde(serialize_with = "shown")]
    pub settings: Settings,
    /// An operator has paused it: what is routed to it waits.
    pub paused: bool,
    /// Before then its receiver has asked to be sent nothing (`Retry-After`), as it was last noted; it may have passed.
    #[serde(serialize_with = "iso8601")]
    pub deferred_until: Option<UnixMicros>,
    /// Until when each of the secrets signs that were replaced, newest first.
    #[serde(serialize_with = "all_iso8601")]
    pub old_secrets_until: Vec<UnixMicros>,
    /// Why nothing can be delivered to it, if so.
    pub problem: Option<String>,
    /// What else is wrong with it.
    pub warnings: Vec<String>,
    /// What `enabled` and `auto_disabled_at` say together.
    #[serde(skip)]
    pub activity: Activity,
}

impl Row {
    /// The URL's scheme, host and port; the rest of it may be a secret.
    #[must_use]
    pub fn shown_url(&self) -> String {
        EndpointUrl::new(&self.url).map_or_else(|_| "(no valid URL)".to_owned(), |url| url.to_string())
    }

    /// Why nothing is sent to it, in a word or two; none if something is.
    #[must_use]
    pub fn parked_by(&self) -> Option<&'static str> {
        match self.activity {
            _ if self.problem.is_some() => Some("bad row"),
            Activity::Disabled => Some("disabled"),
            _ if self.paused => Some("paused"),
            Activity::Tripped if self.gone => Some("gone"),
            Activity::Tripped => Some("tripped"),
            Activity::Active => None,
        }
    }

    pub(super) fn new(raw: &RawRow, judged: &Result<Stored, Problem>) -> Self {
        let at = |cell: &Cell| cell.time().0;
        Self {
            uuid: shown_uuid(raw),
            name: shown_name(raw),
            url: raw.url.shown(MAX_URL_BYTES),
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
                ..settings(&raw.settings).unwrap_or_default()
            },
            paused: paused(&raw.paused).0,
            deferred_until: raw.deferred_until(),
            old_secrets_until: judged
                .iter()
                .flat_map(|stored| &stored.old_secrets)
                .map(|old| old.until)
                .collect(),
            problem: judged.as_ref().err().map(Problem::to_string),
            warnings: judged.iter().flat_map(|stored| &stored.warnings).map(Problem::to_string).collect(),
            activity: raw.activity(),
        }
    }
}

impl fmt::Debug for Row {
    /// Without the whole URL, unlike its JSON: what is debugged ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Row");
        shown.field("uuid", &self.uuid).field("name", &self.name).field("url", &self.shown_url());
        shown.field("activity", &self.activity).field("problem", &self.problem).finish_non_exhaustive()
    }
}

fn patterns(cell: &Cell) -> Vec<String> {
    let list = cell.text().ok().and_then(|text| serde_json::from_str::<Vec<serde_json::Value>>(text).ok());
    let texts = list.unwrap_or_default().into_iter();
    texts.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

fn last_error(cell: &Cell) -> Option<String> {
    (!matches!(cell, Cell::Null)).then(|| cell.shown(MAX_ERROR_CHARS))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn iso8601<S: Serializer>(at: &Option<UnixMicros>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(UnixMicros::to_iso8601).serialize(serializer)
}

fn shown<S: Serializer>(settings: &Settings, serializer: S) -> Result<S::Ok, S::Error> {
    Shown(settings).serialize(serializer)
}

fn all_iso8601<S: Serializer>(times: &[UnixMicros], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(|at| at.to_iso8601()))
}
