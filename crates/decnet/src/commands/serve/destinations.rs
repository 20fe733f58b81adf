//! `--to`: destinations that `decnet serve` sets up as subscriptions before it starts.

use std::path::Path;
use std::time::Duration;

use decnet_core::limits::DEFAULT_DIGEST_EVENTS;
use decnet_core::redact::{EndpointUrl, Secret};
use decnet_core::settings::{Change, Digest, FormatChoice, Settings, SettingsPatch};
use decnet_core::topic::{Pattern, PatternError};
use decnet_format::Spec;
use decnet_format::spec::Grouping;
use decnet_store::catalog::{Catalog, Error, NewSubscription, Patch, Row, generate_secret};

use crate::commands::shared::receiver_url;
use crate::config::Config;
use crate::failure::Usage;
use crate::output;
use crate::receiver::now;
use crate::store::open_or_create;

/// The patterns of a new destination and of the demo.
const PATTERNS: [&str; 4] = ["attacker.>", "decky.>", "credential.>", "canary.>"];
/// The window of digests to people in a demo, whose events would exceed the rates that chat services accept.
const DEMO_DIGEST: Duration = Duration::from_secs(10);

/// A destination of the command line, which becomes the subscription `name`.
pub(super) struct Destination {
    name: String,
    url: EndpointUrl,
    spec: &'static Spec,
}

/// Returns the patterns of a new destination.
pub(super) fn patterns() -> Result<Vec<Pattern>, PatternError> {
    PATTERNS.iter().map(|pattern| Pattern::new(pattern)).collect()
}

/// Reads the destinations of the command line. The first one of a format has the name of the format, the second one `slack-2`, and so
/// on.
///
/// # Errors
/// A file or a URL cannot be used, or the format is not known. The error does not contain the URL, which may be a secret.
pub(super) fn read(arguments: &[Secret]) -> anyhow::Result<Vec<Destination>> {
    let mut all: Vec<Destination> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let (format, rest) = split(argument.expose());
        let url = match rest.strip_prefix('@') {
            Some(path) => receiver_url::read(Path::new(path), "--to")?,
            None => {
                let url = receiver_url::parse(rest, "--to")?;
                output::warn(
                    "other users can read the URL of --to in the process list; use --to FORMAT=@FILE",
                );
                url
            }
        };
        let spec = spec(format, &url)?;
        let name = match all.iter().filter(|earlier| earlier.spec.name == spec.name).count() {
            0 => spec.name.to_owned(),
            earlier => format!("{}-{}", spec.name, earlier + 1),
        };
        all.push(Destination { name, url, spec });
    }
    Ok(all)
}

/// Splits `FORMAT=REST`. The format is optional, and a URL may contain `=` too.
fn split(argument: &str) -> (Option<&str>, &str) {
    let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    match argument.split_once('=') {
        Some((format, rest)) if is_name(format) => (Some(format), rest),
        _ => (None, argument),
    }
}

/// Returns the format with this name, or the format that the host expects.
fn spec(format: Option<&str>, url: &EndpointUrl) -> Result<&'static Spec, Usage> {
    let names = || decnet_format::all().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
    match format {
        Some(name) => decnet_format::find(name)
            .ok_or_else(|| Usage::new(format!("--to: `{name}` is not a format; use one of: {}", names()))),
        None => decnet_format::guess(url.host_str()).ok_or_else(|| {
            let host = url.host_str();
            Usage::new(format!(
                "--to: the format of {host} is not known; write FORMAT=@FILE with one of: {}",
                names()
            ))
        }),
    }
}

/// Creates the subscriptions of the destinations, or updates those of an earlier start. Returns what was done, one line per
/// destination.
///
/// # Errors
/// The catalog cannot be opened or written, or it rejects a subscription.
pub(super) fn set_up(
    destinations: &[Destination],
    config: &Config,
    is_demo: bool,
) -> anyhow::Result<Vec<String>> {
    if destinations.is_empty() {
        return Ok(Vec::new());
    }
    let mut catalog = open_or_create(config)?;
    let warnings =
        destinations.iter().flat_map(|destination| receiver_url::warnings(&destination.url, config));
    warnings.for_each(|warning| output::warn(&warning));
    destinations.iter().map(|destination| destination.set_up(&mut catalog, is_demo)).collect()
}

impl Destination {
    /// Returns the name of the subscription.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn set_up(&self, catalog: &mut Catalog, is_demo: bool) -> anyhow::Result<String> {
        let Self { name, url, spec } = self;
        let done = match catalog.find(name) {
            Ok(row) => self.update(catalog, &row, is_demo)?,
            Err(Error::NotFound { .. }) => {
                self.create(catalog, is_demo)?;
                "created"
            }
            Err(error) => return Err(error.into()),
        };
        let mut line = format!("sending to {url} in the format {}: subscription `{name}` {done}", spec.name);
        if let Some(reason) = catalog.find(name)?.parked_by() {
            line += &format!(", but nothing is sent, because it is {reason}");
        }
        Ok(line)
    }

    fn create(&self, catalog: &mut Catalog, is_demo: bool) -> anyhow::Result<()> {
        let (name, url, secret) = (self.name.clone(), self.url.clone(), Secret::new(generate_secret()));
        let settings = self.settings(&Settings::default(), is_demo)?.apply(&Settings::default())?;
        let new = NewSubscription { name, url, secret, patterns: patterns()?, enabled: true, settings };
        catalog.create(&new, now())?;
        Ok(())
    }

    /// Updates the URL and the format. Whatever else an operator has set is kept.
    fn update(&self, catalog: &mut Catalog, row: &Row, is_demo: bool) -> anyhow::Result<&'static str> {
        let url = (row.url != self.url.expose()).then(|| self.url.clone());
        let settings = self.settings(&row.settings, is_demo)?;
        let patch = Patch { url, settings, ..Patch::default() };
        if patch == Patch::default() {
            return Ok("unchanged");
        }
        catalog.update(&row.uuid, &patch, now())?;
        Ok("updated")
    }

    /// Returns the changes of the settings.
    fn settings(&self, current: &Settings, is_demo: bool) -> anyhow::Result<SettingsPatch> {
        let is_set = current.format.as_ref().is_some_and(|format| format.name() == self.spec.name);
        let format = if is_set { Change::Keep } else { Change::To(self.spec.name.parse::<FormatChoice>()?) };
        let digest = match (is_demo && self.spec.grouping == Grouping::Digest, current.digest) {
            (true, None) => Change::To(Digest::new(DEMO_DIGEST, DEFAULT_DIGEST_EVENTS)?),
            _ => Change::Keep,
        };
        Ok(SettingsPatch { format, digest, ..SettingsPatch::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(arguments: &[&str]) -> Result<Vec<(String, &'static str)>, String> {
        let arguments: Vec<Secret> = arguments.iter().map(|argument| Secret::new(*argument)).collect();
        let read = read(&arguments).map_err(|error| error.to_string())?;
        Ok(read.into_iter().map(|destination| (destination.name, destination.spec.name)).collect())
    }

    #[test]
    fn format_is_given_or_guessed_and_names_are_numbered() {
        let found = names(&[
            "slack=https://chat.example/a?b=c",
            "https://hooks.slack.com/services/T1/B2/x?a=b",
            "teams=https://chat.example/",
            "slack=https://chat.example/",
        ]);
        let expected = [("slack", "slack"), ("slack-2", "slack"), ("teams", "teams"), ("slack-3", "slack")];
        assert_eq!(found.unwrap(), expected.map(|(name, format)| (name.to_owned(), format)));
    }

    #[test]
    fn errors_name_the_formats_and_not_the_url() {
        for (argument, problem) in [
            ("slck=https://chat.example/hunter2", "`slck` is not a format; use one of: slack, discord"),
            ("https://chat.example/hunter2", "the format of chat.example is not known; write FORMAT=@FILE"),
            ("slack=chat.example/hunter2", "--to: not a URL"),
            ("slack=@/missing/file", "cannot read the URL from /missing/file"),
        ] {
            let error = names(&[argument]).unwrap_err();
            assert!(error.contains(problem) && !error.contains("hunter2"), "{argument}: {error}");
        }
    }
}
