//! The values of a form, from a subscription and as the API's JSON.

use decnet_core::settings::RedactedSettings;
use decnet_store::catalog::Row;
use decnet_web::Text;
use decnet_web::form::{CREDENTIALS, Credential, Current, Form, FormatInfo, Guide, Values};
use serde_json::{Map, Value, json};

use super::formats;
use crate::problem::Problem;
use crate::routes::version;

/// The settings with one text each.
const TEXTS: [&str; 7] =
    ["rate", "timeout", "retry_schedule", "filter", "min_severity", "template", "method"];
/// The settings that are yes or no.
const SWITCHES: [&str; 3] = ["ordered", "gzip", "trace"];
/// The settings that a box clears.
const CLEARED: [(&str, &str); 3] = [
    ("private_key", "private_key"),
    ("client_certificate", "client_certificates"),
    ("trust_roots", "trust_roots"),
];

/// Returns the form of a subscription with its current values. `format` replaces its format.
///
/// # Errors
/// The format does not exist.
pub(super) fn current(row: &Row, format: Option<&str>) -> Result<Form, Problem> {
    let settings = serde_json::to_value(RedactedSettings(&row.settings)).unwrap_or_default();
    let mut values = Values::default();
    values.set("name", &*row.name);
    values.set("topics", row.topic_patterns.join("\n"));
    for name in TEXTS {
        values.set(name, text(&settings[name]));
    }
    for name in SWITCHES {
        values.check(name, settings[name] == true);
    }
    values.set("concurrency", text(&settings["concurrency"]));
    let (batch, digest, stored) = (&settings["batch"], &settings["digest"], &settings["format"]);
    values.set("batch_events", text(&batch["max_events"]));
    values.set("batch_linger", text(&batch["linger"]));
    let batch_format = text(&batch["format"]);
    values.set("batch_format", if batch_format == "array" { String::new() } else { batch_format });
    values.set("digest_window", text(&digest["window"]));
    values.set("digest_max", text(&digest["max"]));
    for (name, value) in stored["options"].as_object().into_iter().flatten() {
        values.set(format!("option.{name}"), text(value));
    }
    let stored_name = stored.as_str().or_else(|| stored["name"].as_str()).unwrap_or_default();
    let format = formats::find(format.unwrap_or(stored_name));
    let format = format.ok_or_else(|| Problem::not_found("there is no such format"))?;
    Ok(Form { values, format, current: Some(hidden(row, &settings)), error: None })
}

fn hidden(row: &Row, settings: &Value) -> Current {
    let auth = settings["auth"].as_object().map(|auth| {
        let subject = auth.get("user").or_else(|| auth.get("client_id")).map(text);
        let kind = auth.get("type").map(text).unwrap_or_default();
        Text::from(subject.map_or_else(|| kind.clone(), |subject| format!("{kind}, {subject}")))
    });
    let headers = settings["headers"].as_object().into_iter().flatten();
    let set = CLEARED.iter().filter(|(setting, _)| !settings[*setting].is_null());
    Current {
        uuid: Text::from(&*row.uuid),
        name: Text::from(&*row.name),
        url: row.redacted_url().into(),
        version: version(row),
        auth,
        headers: headers.map(|(name, _)| Text::from(&**name)).collect(),
        set: set.map(|(_, field)| *field).collect(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns a JSON merge patch of what differs from the `current` values: those of the stored subscription, or those of a new one.
pub(super) fn patch(form: &Form, current: &Form) -> Map<String, Value> {
    let (new, old) = (&form.values, &current.values);
    let mut patch = Map::new();
    if new.get("name") != old.get("name") {
        patch.insert("name".into(), json!(new.get("name")));
    }
    for name in ["url", "secret"].into_iter().filter(|name| !new.get(name).is_empty()) {
        patch.insert(name.into(), json!(new.get(name).trim()));
    }
    let topics = |values: &Values| values.lines("topics").map(str::to_owned).collect::<Vec<_>>();
    if topics(new) != topics(old) {
        patch.insert("topic_patterns".into(), json!(topics(new)));
    }
    let settings = settings(form, current);
    if !settings.is_empty() {
        patch.insert("settings".into(), settings.into());
    }
    patch
}

fn settings(form: &Form, current: &Form) -> Map<String, Value> {
    let (new, old) = (&form.values, &current.values);
    let mut patch = Map::new();
    for name in TEXTS.into_iter().filter(|name| new.get(name) != old.get(name)) {
        patch.insert(name.into(), or_null(new.get(name), |text| json!(text)));
    }
    for name in SWITCHES.into_iter().filter(|name| new.is_on(name) != old.is_on(name)) {
        patch.insert(name.into(), if new.is_on(name) { json!(true) } else { Value::Null });
    }
    let mut compound = |name: &str, fields: &[&str], value: fn(&Values) -> Value| {
        if fields.iter().any(|field| new.get(field) != old.get(field)) {
            patch.insert(name.into(), value(new));
        }
    };
    compound("concurrency", &["concurrency"], |new| or_null(new.get("concurrency"), number));
    compound("batch", &["batch_events", "batch_linger", "batch_format"], batch);
    compound("digest", &["digest_window", "digest_max"], digest);
    if form.format.name != current.format.name || options(form) != options(current) {
        patch.insert("format".into(), format(form));
    }
    credentials(form, &mut patch);
    patch
}

fn or_null(text: &str, value: impl FnOnce(&str) -> Value) -> Value {
    if text.trim().is_empty() { Value::Null } else { value(text) }
}

/// Returns a number, or the text itself, which the API rejects.
fn number(text: &str) -> Value {
    text.trim().parse::<u64>().map_or_else(|_| json!(text), Value::from)
}

fn batch(values: &Values) -> Value {
    let optional = |name| or_null(values.get(name), |text| json!(text));
    or_null(
        values.get("batch_events"),
        |events| json!({"max_events": number(events), "linger": optional("batch_linger"), "format": optional("batch_format")}),
    )
}

fn digest(values: &Values) -> Value {
    or_null(values.get("digest_window"), |window| match values.get("digest_max") {
        "" => json!({"window": window}),
        max => json!({"window": window, "max": number(max)}),
    })
}

/// Returns the options of the format that have a value.
fn options(form: &Form) -> Map<String, Value> {
    let names = form.format.options.iter().map(|(name, ..)| *name);
    let options = names.map(|name| (name, form.values.get(&format!("option.{name}"))));
    options
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), json!(value)))
        .collect()
}

fn format(form: &Form) -> Value {
    let FormatInfo { name, .. } = form.format;
    match options(form) {
        _ if name.is_empty() => Value::Null,
        options if options.is_empty() => json!(name),
        options => json!({"name": name, "options": options}),
    }
}

fn credentials(form: &Form, patch: &mut Map<String, Value>) {
    let values = &form.values;
    if let Some(auth) = auth(values) {
        patch.insert("auth".into(), auth);
    }
    let headers = headers(form);
    if !headers.is_empty() {
        patch.insert("headers".into(), headers.into());
    }
    let (certificates, key) = (values.get("client_certificates"), values.get("client_key"));
    if !certificates.is_empty() || !key.is_empty() {
        patch.insert("client_certificate".into(), json!({"certificates": certificates, "key": key}));
    }
    for name in ["private_key", "trust_roots"].into_iter().filter(|name| !values.get(name).is_empty()) {
        patch.insert(name.into(), json!(values.get(name).trim()));
    }
    for (setting, field) in CLEARED {
        if values.is_on(&format!("clear.{field}")) {
            patch.insert(setting.into(), Value::Null);
        }
    }
}

/// Returns the credentials; `None` keeps them.
fn auth(values: &Values) -> Option<Value> {
    let kind = Some(values.get("auth")).filter(|kind| !kind.is_empty())?;
    if kind == "none" {
        return Some(Value::Null);
    }
    let mut auth = Map::from_iter([("type".to_owned(), json!(kind))]);
    for field in CREDENTIALS.into_iter().filter(|field| is_of(kind, field)) {
        let (name, value) = (&field["auth_".len()..], values.get(field).trim());
        if !value.is_empty() || !matches!(name, "scope" | "audience") {
            auth.insert(name.to_owned(), json!(value));
        }
    }
    if kind == "oauth2" && values.is_on("auth_in_body") {
        auth.insert("in_body".into(), json!(true));
    }
    Some(auth.into())
}

fn is_of(kind: &str, field: &str) -> bool {
    match kind {
        "basic" => matches!(field, "auth_user" | "auth_password"),
        "bearer" => field == "auth_token",
        _ => !matches!(field, "auth_user" | "auth_password" | "auth_token"),
    }
}

/// Returns the headers to set and to remove. A line without a colon is a name, which the API rejects if it is not one.
fn headers(form: &Form) -> Map<String, Value> {
    let values = &form.values;
    let removed = values.with_prefix("remove.").map(|(name, _)| (name.to_owned(), Value::Null));
    let token = values.get("token").trim();
    let guide = Guide::of(form.format.name, form.format.title);
    let scheme = match guide.credential {
        Credential::Header { scheme, .. } if !token.is_empty() => Some(scheme),
        _ => None,
    };
    let token = scheme.map(|scheme| ("authorization".to_owned(), json!(format!("{scheme} {token}"))));
    let lines = values.lines("headers").map(|line| {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        (name.trim().to_owned(), json!(value.trim()))
    });
    removed.chain(token).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(format: &str, values: Values) -> Form {
        Form { values, format: formats::find(format).unwrap(), ..Form::default() }
    }

    #[test]
    fn only_changes_are_sent() {
        let old =
            [("name", "a"), ("topics", "a.>\nb"), ("rate", "5/s"), ("trace", "on"), ("batch_events", "9")];
        let current = form("plain", Values::from(old));
        assert_eq!(patch(&current, &current), Map::new());
        let new =
            [("name", "a"), ("topics", " b \n\n"), ("timeout", "5s"), ("batch_events", ""), ("url", " u ")];
        let expected = json!({"url": "u", "topic_patterns": ["b"],
            "settings": {"rate": null, "timeout": "5s", "trace": null, "batch": null}});
        assert_eq!(Value::from(patch(&form("plain", Values::from(new)), &current)), expected);
    }

    #[test]
    fn format_is_sent_with_its_options_only() {
        let values = [("option.index", "honeypot"), ("option.other", "x"), ("option.source", "")];
        let current = form("plain", Values::default());
        let elastic = form("elastic", Values::from(values));
        let expected = json!({"settings": {"format": {"name": "elastic", "options": {"index": "honeypot"}}}});
        assert_eq!(Value::from(patch(&elastic, &current)), expected);
        assert_eq!(Value::from(patch(&current, &elastic)), json!({"settings": {"format": null}}));
    }

    #[test]
    fn credentials_are_kept_replaced_or_removed() {
        let current = form("splunk-hec", Values::default());
        let of = |values: Values| {
            let mut patch = patch(&form("splunk-hec", values), &current);
            patch.remove("settings").unwrap_or_default()
        };
        assert_eq!(of(Values::from([("auth", ""), ("auth_user", "x")])), Value::Null);
        assert_eq!(of(Values::from([("auth", "none")])), json!({"auth": null}));
        let basic = [("auth", "basic"), ("auth_user", "u"), ("auth_password", "p"), ("auth_scope", "s")];
        assert_eq!(of(Values::from(basic)), json!({"auth": {"type": "basic", "user": "u", "password": "p"}}));
        let headers =
            [("token", "t"), ("headers", "X-A: 1\nx"), ("remove.x-b", "on"), ("clear.trust_roots", "on")];
        let expected = json!({"headers": {"authorization": "Splunk t", "X-A": "1", "x": "", "x-b": null}, "trust_roots": null});
        assert_eq!(of(Values::from(headers)), expected);
    }
}
