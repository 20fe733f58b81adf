//! The sections of the form, and which fields a format needs.

use super::fields::{Field, Kind};
use super::guide::{Credential, Guide};
use super::{Current, Form, Values};
use crate::Text;

/// A group of fields.
#[derive(Debug, Clone)]
pub struct Section {
    /// The legend.
    pub legend: &'static str,
    /// The fields.
    pub fields: Vec<Field>,
    /// Whether the section can be folded.
    pub is_folded: bool,
}

impl Section {
    /// Returns whether a field has an error.
    #[must_use]
    pub fn has_error(&self) -> bool {
        self.fields.iter().any(|field| field.error.is_some())
    }

    /// Returns whether a folded section is open at first: it has an error, or a value that is not the default.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let is_used = |field: &Field| field.error.is_some() || field.is_set || !field.value.is_empty();
        self.fields.iter().any(is_used)
    }
}

/// Returns the sections with their values and errors.
#[must_use]
pub fn sections(form: &Form) -> Vec<Section> {
    let guide = form.guide();
    let is_guided = guide.credential == Credential::Login;
    let all = [
        ("Receiver", receiver(form, &guide), false),
        ("Events", events(), false),
        ("Message", message(form), false),
        ("Credentials and headers", credentials(form), !is_guided),
        ("Delivery: rate, retries, batches", delivery(form), true),
        ("Signatures and certificates", security(form), true),
    ];
    let sections = all.into_iter().filter(|(_, fields, _)| !fields.is_empty());
    let mut sections: Vec<_> =
        sections.map(|(legend, fields, is_folded)| Section { legend, fields, is_folded }).collect();
    for field in sections.iter_mut().flat_map(|section| &mut section.fields) {
        fill(field, form);
    }
    sections
}

/// Sets the value, the error and the state of a field.
fn fill(field: &mut Field, Form { values, current, error, .. }: &Form) {
    field.value = match field.kind {
        Kind::Check if values.is_on(&field.name) => "on".into(),
        _ => values.get(&field.name).to_owned(),
    };
    let own = error.as_ref().filter(|(name, _)| *name == field.name);
    field.error = own.map(|(_, error)| error.clone());
    field.is_set = current.as_ref().is_some_and(|current| current.set.contains(&*field.name));
}

fn receiver(form: &Form, guide: &Guide) -> Vec<Field> {
    let url = Field::new("url", "URL", Kind::Line);
    let url = match &form.current {
        Some(current) => url.hint(format!("Leave it empty to keep {}", current.url)),
        None => url.hint(guide.url).required(),
    };
    let name = Field::new("name", "Name", Kind::Line).hint("Unique, at most 64 characters.").required();
    let token = match guide.credential {
        Credential::Header { label, scheme } => Some(
            Field::new("token", label, Kind::Secret)
                .hint(format!("Sent as `Authorization: {scheme} …`.{}", keeps(form.current.is_some()))),
        ),
        _ => None,
    };
    [name, url].into_iter().chain(token).collect()
}

fn events() -> Vec<Field> {
    let severities =
        ["info", "low", "medium", "high", "critical"].map(|name| (name, format!("{name} and above")));
    let severities = [("", "all".to_owned())].into_iter().chain(severities).collect();
    vec![
        Field::new("topics", "Topic patterns", Kind::Lines(4))
            .hint("One a line. `*` stands for one token, `>` for all that follow: `attacker.>`.")
            .required(),
        Field::new("min_severity", "Severity", Kind::Select(severities)),
        Field::new("filter", "Filter", Kind::Lines(2)).hint(
            "A CEL expression that is true for the wanted events: `payload.port == 22`. Empty: all events.",
        ),
    ]
}

fn message(form: &Form) -> Vec<Field> {
    let format = &form.format;
    let options = format.options.iter().map(|(name, help, default)| {
        let default = default.map_or_else(String::new, |default| format!(" Default: `{default}`."));
        Field::new(format!("option.{name}"), label(name), Kind::Line)
            .hint(format!("{}.{default}", sentence(help)))
    });
    let template = Field::new("template", "Template", Kind::Lines(6)).hint(match format.name {
        "template" => "The body, in the syntax of Jinja: `{\"text\": \"{{ title }}\"}`.",
        _ => "Replaces the text of the message, in the syntax of Jinja: `{{ title }}`. Empty: the default text.",
    });
    let has_template = format.has_digest || !form.values.get("template").is_empty();
    options.chain(has_template.then_some(template)).collect()
}

fn credentials(form: &Form) -> Vec<Field> {
    let auth = form.current.as_ref().and_then(|current| current.auth.as_ref());
    let now = auth.map_or_else(|| "none".to_owned(), |auth| format!("as now ({auth})"));
    let kinds = [("basic", "user and password"), ("bearer", "token"), ("oauth2", "OAuth 2.0")];
    let kinds = kinds.map(|(value, name)| (value, name.to_owned()));
    let remove = auth.map(|_| ("none", "none".to_owned()));
    let kinds = [("", now)].into_iter().chain(remove).chain(kinds).collect();
    let line = |name: &str, label: &str, hint: &str| Field::new(name, label, Kind::Line).hint(hint);
    let secret = |name: &str, label: &str, hint: &str| Field::new(name, label, Kind::Secret).hint(hint);
    let headers = Field::new("headers", "Additional headers", Kind::Lines(2));
    let mut fields = vec![
        Field::new("auth", "Credentials", Kind::Select(kinds)).hint("Sent as `Authorization`."),
        line("auth_user", "User", "For user and password."),
        secret("auth_password", "Password", "For user and password."),
        secret("auth_token", "Token", "For a token."),
        line("auth_token_url", "Token URL", "For OAuth 2.0: the token endpoint of the authorization server."),
        line("auth_client_id", "Client id", "For OAuth 2.0."),
        secret("auth_client_secret", "Client secret", "For OAuth 2.0."),
        line("auth_scope", "Scope", "For OAuth 2.0, if the server needs it."),
        line("auth_audience", "Audience", "For OAuth 2.0, if the server needs it."),
        Field::new("auth_in_body", "Send the client secret in the body", Kind::Check).hint("For OAuth 2.0."),
        headers.hint(format!("One a line: `X-Tenant: blue`.{}", keeps(form.current.is_some()))),
    ];
    fields.extend(form.current.iter().flat_map(|current| current.headers.iter().map(removal)));
    fields
}

fn removal(header: &Text) -> Field {
    Field::new(format!("remove.{}", header.raw()), format!("Remove the header {header}"), Kind::Check)
}

fn delivery(form: &Form) -> Vec<Field> {
    let (format, values) = (&form.format, &form.values);
    let mut fields = vec![
        Field::new("rate", "Maximum rate", Kind::Line).hint("Such as `50/s`. Empty: no limit."),
        Field::new("concurrency", "Requests at once", Kind::Number)
            .hint("1 to 256. Empty: decnet adapts it."),
        Field::new("timeout", "Time limit of an attempt", Kind::Line)
            .hint("`100ms` to `5m`. Empty: that of the server."),
        Field::new("retry_schedule", "Retries", Kind::Line)
            .hint("The delays, such as `1s,30s,10m`, or `none`. Empty: those of the server."),
        Field::new("ordered", "One event at a time, in order", Kind::Check),
    ];
    if format.has_batch || is_used(values, "batch_events") {
        fields.extend(batch(format.name.is_empty()));
    }
    if format.has_digest || is_used(values, "digest_window") {
        fields.push(
            Field::new("digest_window", "Digest", Kind::Line).hint(
                "The events of this time in one message, `1s` to `1m`. Empty: a message for each event.",
            ),
        );
        fields.push(
            Field::new("digest_max", "Events listed in a digest", Kind::Number).hint("1 to 256. Empty: 20."),
        );
    }
    let methods = [("", "POST"), ("PUT", "PUT")].map(|(value, name)| (value, name.to_owned())).into();
    fields.push(Field::new("method", "Method", Kind::Select(methods)));
    if format.has_gzip || values.is_on("gzip") {
        fields.push(Field::new("gzip", "Compress bodies (gzip)", Kind::Check));
    }
    fields.push(Field::new("trace", "Send traceparent (W3C Trace Context)", Kind::Check));
    fields
}

fn batch(is_plain: bool) -> Vec<Field> {
    let forms =
        [("", "JSON array"), ("cloudevents", "CloudEvents")].map(|(value, name)| (value, name.to_owned()));
    let form = Field::new("batch_format", "Body of a batch", Kind::Select(forms.into()));
    let fields = [
        Field::new("batch_events", "Events per request", Kind::Number).hint("Up to 256. Empty: one."),
        Field::new("batch_linger", "Wait for further events", Kind::Line)
            .hint("Up to `1m`. Empty: the default."),
    ];
    fields.into_iter().chain(is_plain.then_some(form)).collect()
}

fn security(form: &Form) -> Vec<Field> {
    let secret = Field::new("secret", "Signing secret", Kind::Secret);
    let secret = match form.current {
        Some(Current { .. }) => secret.hint(
            "At least 16 characters. Empty: as now. It applies at once; to let the old one sign for a day, rotate the secret instead.",
        ),
        None => secret.hint("At least 16 characters. Empty: one is made and shown once."),
    };
    let pem = |name: &str, label: &str, hint: &str| Field::new(name, label, Kind::Lines(3)).hint(hint);
    vec![
        secret,
        Field::new("private_key", "Ed25519 key", Kind::Secret)
            .hint("`whsk_…`, for an additional signature; `decnet subscription key` makes one."),
        pem("client_certificates", "Client certificate", "PEM, leaf first, for TLS."),
        pem("client_key", "Key of the client certificate", "PEM."),
        pem(
            "trust_roots",
            "Trusted root certificates",
            "PEM. Only these are trusted. Empty: those of the system.",
        ),
    ]
}

fn is_used(values: &Values, name: &str) -> bool {
    !values.get(name).is_empty()
}

fn keeps(is_edit: bool) -> &'static str {
    if is_edit { " Empty: as now." } else { "" }
}

/// Returns the name of an option as a label.
fn label(name: &str) -> String {
    sentence(&name.replace('_', " "))
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}
