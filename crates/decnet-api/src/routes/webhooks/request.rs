//! What is asked for: a new subscription, or a change of one.

use decnet_core::limits::{MAX_NAME_CHARS, MAX_SECRET_CHARS, MIN_SECRET_CHARS};
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::Settings;
use decnet_core::subscription::{Problem as Broken, check_name, requested_patterns};
use decnet_core::topic::Pattern;
use decnet_store::catalog::{NewSubscription, Patch, generate_secret};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::{Fields, refuse};
use crate::problem::Problem;

/// One of DECNET's friendly names for patterns.
#[derive(Debug, Serialize, ToSchema)]
#[expect(dead_code, reason = "described here, read field by field")]
enum SimpleEvent {
    AttackerDetail,
    DeckyStatus,
    SystemStatus,
}

/// A new subscription. At least one event or pattern is needed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CreateWebhook {
    /// Unique.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", example = "siem")]
    name: String,
    /// Where events go: http or https, to a public address.
    #[schema(format = "uri", min_length = 1, max_length = 2083, example = "https://siem.example/hook")]
    url: String,
    /// What they are signed with; made where none is given.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Names that stand for patterns.
    #[schema(required = false)]
    simple_events: Vec<SimpleEvent>,
    /// `*` is one token of a topic, `>` the rest of it.
    #[schema(required = false, example = json!(["attacker.>"]))]
    topic_patterns: Vec<String>,
    /// Does it get events from now on?
    #[schema(required = false, default = true)]
    enabled: bool,
}

/// What to change; what is left out, or null, stays.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct UpdateWebhook {
    /// Another name, unique.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    name: Option<String>,
    /// Another receiver.
    #[schema(format = "uri", min_length = 1, max_length = 2083)]
    url: Option<String>,
    /// Another secret.
    #[schema(min_length = 16, max_length = 256)]
    secret: Option<String>,
    /// Together with `topic_patterns` this replaces the whole list.
    simple_events: Option<Vec<SimpleEvent>>,
    /// Replaces the whole list.
    topic_patterns: Option<Vec<String>>,
    /// `true` also forgets what tripped it.
    enabled: Option<bool>,
}

/// Reads a new subscription.
pub(super) fn create(fields: &Fields) -> Result<NewSubscription, Problem> {
    let nulls = fields.without_null(&["simple_events", "topic_patterns", "enabled"]);
    let name = name(fields).and_then(|name| Fields::required("name", name));
    let url = url(fields).and_then(|url| Fields::required("url", url));
    let (secret, wanted, enabled) = (secret(fields), Wanted::read(fields), fields.flag("enabled"));
    refuse([
        nulls.as_ref().err(),
        name.as_ref().err(),
        url.as_ref().err(),
        secret.as_ref().err(),
        wanted.as_ref().err(),
        enabled.as_ref().err(),
    ])?;
    let patterns = wanted?.patterns("give at least one of simple_events and topic_patterns")?;
    Ok(NewSubscription {
        name: name?,
        url: url?,
        secret: secret?.unwrap_or_else(|| Secret::new(generate_secret())),
        patterns,
        enabled: enabled?.unwrap_or(true),
        settings: Settings::default(),
    })
}

/// A change, of which only the patterns are still to be read: whether there is a row to change is looked up before.
pub(super) struct Update {
    patch: Patch,
    wanted: Wanted,
}

/// Reads a change.
pub(super) fn update(fields: &Fields) -> Result<Update, Problem> {
    let (name, url, secret) = (name(fields), url(fields), secret(fields));
    let (wanted, enabled) = (Wanted::read(fields), fields.flag("enabled"));
    refuse([
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
    /// The name that it asks for, if another.
    pub(super) fn name(&self) -> Option<&str> {
        self.patch.name.as_deref()
    }

    /// The receiver that it asks for, if another.
    pub(super) fn url(&self) -> Option<&EndpointUrl> {
        self.patch.url.as_ref()
    }

    /// The change to a row with these patterns. Who sends back what the row has already, as a form does, changes
    /// nothing by it: rows may hold patterns that nobody may write any more.
    pub(super) fn patch(self, standing: &[String]) -> Result<Patch, Problem> {
        let Self { patch, wanted } = self;
        if !wanted.given || (wanted.events.is_empty() && wanted.patterns == standing && !standing.is_empty())
        {
            return Ok(patch);
        }
        let patterns = wanted.patterns("at least one pattern must be left; disable the webhook instead")?;
        Ok(Patch { patterns: Some(patterns), ..patch })
    }
}

/// Which events are wanted.
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
        requested_patterns(&self.events, &self.patterns).map_err(|broken| match broken {
            Broken::NoPattern => Problem::malformed(none),
            Broken::UnknownEvent(_) => Problem::invalid(format!("simple_events: {broken}")),
            _ => Problem::invalid(format!("topic_patterns: {broken}")),
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
