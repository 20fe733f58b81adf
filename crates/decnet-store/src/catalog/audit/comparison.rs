//! What a change of a subscription has changed.

use decnet_core::limits::{MAX_AUDIT_VALUE_CHARS, MAX_NAME_CHARS};
use decnet_core::redact::EndpointUrl;
use decnet_core::subscription::Activity;
use serde_json::{Map, Value};

use super::{AuditObject, FieldChange};
use crate::catalog::load::RawRow;
use crate::catalog::sql_value::SqlValue;
use crate::catalog::validate::{display_name, display_uuid, paused};

/// The fields of a new or deleted subscription that an entry mentions.
const OF_WHOLE_ROWS: [&str; 4] = ["url", "topic_patterns", "headers", "credentials"];

/// Returns the subscription of a row.
pub(super) fn object(row: &RawRow) -> AuditObject {
    AuditObject { kind: "subscription".into(), id: display_uuid(row), name: display_name(row) }
}

/// Returns the fields that differ. Encrypted values count as different if they were written again. Times, counters and errors
/// are left out: they follow from the action.
pub(super) fn changes(before: Option<&RawRow>, after: Option<&RawRow>) -> Vec<FieldChange> {
    let is_whole_row = before.is_none() || after.is_none();
    let is_mentioned = |field: &str| !is_whole_row || OF_WHOLE_ROWS.contains(&field);
    let (before_fields, after_fields) = (fields(before), fields(after));
    let columns = before_fields.into_iter().zip(after_fields);
    let columns = columns.filter(|(before, after)| before.value != after.value && is_mentioned(after.name));
    let columns = columns.map(|(before, after)| FieldChange {
        field: after.name.into(),
        from: before.shown,
        to: after.shown,
    });
    columns.chain(changed_settings(before, after)).collect()
}

/// A field of a row that an operator can set.
struct Field {
    name: &'static str,
    /// The value, for comparison; `None` if it is NULL.
    value: Option<SqlValue>,
    /// The value for people; `None` if it may be a secret or is absent.
    shown: Option<String>,
}

/// Returns the fields of a row in a fixed order.
fn fields(row: Option<&RawRow>) -> [Field; 9] {
    let field = |name, value: fn(&RawRow) -> SqlValue, show: Option<fn(&SqlValue) -> String>| {
        let value = row.map(value).filter(|value| !matches!(value, SqlValue::Null));
        Field { name, shown: show.and_then(|show| value.as_ref().map(show)), value }
    };
    [
        field("name", |row| row.name.clone(), Some(|name| name.display(MAX_NAME_CHARS))),
        field("url", |row| row.url.clone(), Some(origin)),
        field("secret", |row| row.secret.clone(), None),
        field("topic_patterns", |row| row.topic_patterns.clone(), Some(patterns)),
        field("enabled", |row| flag(row.activity() == Activity::Active), Some(show_flag)),
        field("paused", |row| flag(paused(&row.paused).0), Some(show_flag)),
        field("headers", |row| row.headers.clone(), None),
        field("credentials", |row| row.credentials.clone(), None),
        field("old_secrets", |row| row.old_secrets.clone(), None),
    ]
}

fn flag(is_set: bool) -> SqlValue {
    SqlValue::Integer(is_set.into())
}

fn show_flag(value: &SqlValue) -> String {
    matches!(value, SqlValue::Integer(1)).to_string()
}

/// Returns the names of the settings that differ. Their values may contain secrets, such as a template.
fn changed_settings(before: Option<&RawRow>, after: Option<&RawRow>) -> Vec<FieldChange> {
    let (before, after) = (settings(before), settings(after));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
    let changed =
        changed.map(|name| FieldChange { field: format!("settings.{name}"), ..FieldChange::default() });
    changed.collect()
}

fn settings(row: Option<&RawRow>) -> Map<String, Value> {
    let text = row.and_then(|row| row.settings.text().ok());
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Returns scheme, host and port of a URL; the rest may be secret.
fn origin(url: &SqlValue) -> String {
    let url = url.text().ok().and_then(|url| EndpointUrl::new(url).ok());
    url.map_or_else(|| "(invalid URL)".into(), |url| url.to_string())
}

/// Returns a JSON list of patterns, shortened.
fn patterns(value: &SqlValue) -> String {
    let list: Option<Vec<String>> = value.text().ok().and_then(|text| serde_json::from_str(text).ok());
    let shown = list.map(|list| SqlValue::Text(list.join(", ").into()));
    shown.as_ref().unwrap_or(value).display(MAX_AUDIT_VALUE_CHARS)
}
