//! The requests to create or change a subscription.

use decnet_core::limits::{MAX_NAME_CHARS, MAX_SECRET_CHARS, MIN_SECRET_CHARS};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::subscription::{Problem as InvalidSubscription, check_name, requested_patterns};
use decnet_core::topic::Pattern;
use decnet_store::catalog::{NewSubscription, Patch, generate_secret};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::{Fields, refuse};
use crate::problem::Problem;

/// Named group of patterns: `AttackerDetail` is `attacker.>`, `DeckyStatus` is `decky.*.state` and `decky.*.traffic`, and
/// `SystemStatus` is `system.>`.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "described here, read field by field")]
enum SimpleEvent {
    AttackerDetail,
    DeckyStatus,
    SystemStatus,
}

/// A new subscription. `simple_events` and `topic_patterns` together must contain at least one pattern.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreateWebhook {
    /// Unique name.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "siem")]
    name: String,
    /// Receiver of the events: http or https, at a public address.
    #[schema(format = "uri", min_length = 1, max_length = 2083, example = "https://siem.example/hook")]
    url: String,
    /// Signing secret; generated if absent.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Named groups of patterns, in addition to `topic_patterns`.
    #[schema(required = false)]
    simple_events: Vec<SimpleEvent>,
    /// Patterns of the topics: `*` matches one token, and `>` matches all following tokens.
    #[schema(required = false, example = json!(["attacker.>"]))]
    topic_patterns: Vec<String>,
    /// Whether the subscription receives events.
    #[schema(required = false, default = true)]
    enabled: bool,
}

/// The fields to change; absent and null fields are left unchanged.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpdateWebhook {
    /// New name, unique.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: Option<String>,
    /// New receiver.
    #[schema(format = "uri", min_length = 1, max_length = 2083)]
    url: Option<String>,
    /// New secret.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Named groups of patterns. If this field or `topic_patterns` is present, the patterns of both fields replace all patterns
    /// of the subscription.
    simple_events: Option<Vec<SimpleEvent>>,
    /// Topics of the events. If this field or `simple_events` is present, the patterns of both fields replace all patterns of
    /// the subscription.
    topic_patterns: Option<Vec<String>>,
    /// Whether the subscription receives events; `true` also resets its circuit breaker.
    enabled: Option<bool>,
}

/// Parses a new subscription.
pub(super) fn create(fields: &Fields) -> Result<NewSubscription, Problem> {
    let Update { patch, wanted } = read(fields, true)?;
    Ok(NewSubscription {
        patterns: wanted.patterns("specify at least one pattern in simple_events or topic_patterns")?,
        name: Fields::required("name", patch.name)?,
        url: Fields::required("url", patch.url)?,
        secret: patch.secret.unwrap_or_else(|| Secret::new(generate_secret())),
        enabled: patch.enabled.unwrap_or(true),
        settings: Settings::default(),
    })
}

/// Parses a change.
pub(super) fn update(fields: &Fields) -> Result<Update, Problem> {
    read(fields, false)
}

/// A change whose patterns are not yet parsed, because the existence of the row is checked first.
pub(super) struct Update {
    pub(super) patch: Patch,
    wanted: Wanted,
}

/// Parses the fields of a create or update request. To create, `name` and `url` are required, and `simple_events`,
/// `topic_patterns` and `enabled` may be absent but not null.
fn read(fields: &Fields, is_new: bool) -> Result<Update, Problem> {
    let not_null: &[_] = if is_new { &["simple_events", "topic_patterns", "enabled"] } else { &[] };
    let nulls = fields.without_null(not_null);
    let (mut name, mut url, secret) = (name(fields), url(fields), secret(fields));
    let (wanted, enabled) = (Wanted::read(fields), fields.flag("enabled"));
    if is_new {
        name = name.and_then(|name| Fields::required("name", name).map(Some));
        url = url.and_then(|url| Fields::required("url", url).map(Some));
    }
    refuse([
        nulls.as_ref().err(),
        name.as_ref().err(),
        url.as_ref().err(),
        secret.as_ref().err(),
        wanted.as_ref().err(),
        enabled.as_ref().err(),
    ])?;
    let patch = Patch { name: name?, url: url?, secret: secret?, enabled: enabled?, ..Patch::default() };
    Ok(Update { patch, wanted: wanted? })
}

impl Update {
    /// Returns the change to a row whose patterns are `current`. Sending these back, as a form does, changes nothing: a row may
    /// hold patterns that would now be rejected.
    pub(super) fn patch(self, current: &[String]) -> Result<Patch, Problem> {
        let Self { patch, wanted } = self;
        if !wanted.given || (wanted.events.is_empty() && wanted.patterns == current && !current.is_empty()) {
            return Ok(patch);
        }
        let patterns = wanted.patterns("at least one pattern must remain; disable the webhook instead")?;
        Ok(Patch { patterns: Some(patterns), ..patch })
    }
}

/// The requested patterns.
struct Wanted {
    events: Vec<String>,
    patterns: Vec<String>,
    given: bool,
}

impl Wanted {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let (events, patterns) = (fields.texts("simple_events")?, fields.texts("topic_patterns")?);
        let given = events.is_some() || patterns.is_some();
        let (events, mut patterns) = (events.unwrap_or_default(), patterns.unwrap_or_default());
        patterns.retain(|pattern| !pattern.is_empty());
        Ok(Self { events, patterns, given })
    }

    fn patterns(&self, none: &str) -> Result<Vec<Pattern>, Problem> {
        requested_patterns(&self.events, &self.patterns).map_err(|invalid| match invalid {
            InvalidSubscription::NoPattern => Problem::malformed(none),
            InvalidSubscription::UnknownEvent(_) => Problem::invalid(format!("simple_events: {invalid}")),
            _ => Problem::invalid(format!("topic_patterns: {invalid}")),
        })
    }
}

fn name(fields: &Fields) -> Result<Option<String>, Problem> {
    let name = fields.text_within("name", 1, MAX_NAME_CHARS)?;
    name.map(|name| check_name(name).map(|()| name.to_owned())).transpose().map_err(Problem::from)
}

fn url(fields: &Fields) -> Result<Option<EndpointUrl>, Problem> {
    let url = fields.text_within("url", 1, usize::MAX)?;
    url.map(EndpointUrl::new).transpose().map_err(|error| Problem::invalid(format!("url: {error}")))
}

fn secret(fields: &Fields) -> Result<Option<Secret>, Problem> {
    Ok(fields.text_within("secret", MIN_SECRET_CHARS, MAX_SECRET_CHARS)?.map(Secret::new))
}
