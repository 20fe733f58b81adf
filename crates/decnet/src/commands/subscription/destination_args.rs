//! The filter, the format and the digest of a subscription, as arguments.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use decnet_core::limits::{DEFAULT_DIGEST_EVENTS, MAX_TEMPLATE_BYTES};
use decnet_core::settings::{
    Change, DestinationError, Digest, FilterSource, FormatChoice, Method, Settings, SettingsPatch,
    TemplateSource,
};
use decnet_core::severity::Severity;

use crate::commands::shared::file_args;
use crate::config::read_duration;
use crate::failure::Usage;

/// The events that are delivered, and the form of the requests.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Destination settings")]
pub(super) struct DestinationArgs {
    /// Deliver only events for which this CEL expression is true, such as 'payload.port == 22'; `none` for all events
    #[arg(long, value_name = "EXPRESSION", value_parser = value_or_none::<FilterSource>)]
    filter: Option<Change<FilterSource>>,
    /// Deliver only events of this severity or a higher one: info, low, medium, high or critical; `none` for all events
    #[arg(long, value_name = "SEVERITY", value_parser = value_or_none::<Severity>)]
    min_severity: Option<Change<Severity>>,
    /// Send requests in the format of a destination, such as slack or elastic; `none` for the events themselves
    #[arg(long, value_parser = formats())]
    format: Option<Change<FormatChoice>>,
    /// An option of the format, such as index=decnet; repeatable
    #[arg(long = "format-option", value_name = "NAME=VALUE", requires = "format", value_parser = format_option)]
    format_options: Vec<(String, String)>,
    /// A file with the template of the format, or - for stdin
    #[arg(long, value_name = "FILE")]
    template_file: Option<PathBuf>,
    /// Remove the template
    #[arg(long, conflicts_with = "template_file")]
    no_template: bool,
    /// The method of requests: POST or PUT
    #[arg(long)]
    method: Option<Method>,
    /// Compress bodies with gzip
    #[arg(long, overrides_with = "no_gzip")]
    gzip: bool,
    /// Do not compress bodies
    #[arg(long, overrides_with = "gzip")]
    no_gzip: bool,
    /// Combine the events of this time into one message, such as 1m; critical events are sent at once
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    digest: Option<Duration>,
    /// The number of events that a digest lists by themselves [default: 20]
    #[arg(long, value_name = "EVENTS", requires = "digest")]
    digest_max: Option<usize>,
    /// Send each event in a message of its own
    #[arg(long, conflicts_with = "digest")]
    no_digest: bool,
}

/// Parses `none` or a value.
fn value_or_none<T: FromStr>(text: &str) -> Result<Change<T>, T::Err> {
    if text == "none" { Ok(Change::Reset) } else { text.parse().map(Change::To) }
}

/// Returns a parser whose values a shell can complete.
fn formats() -> impl clap::builder::TypedValueParser<Value = Change<FormatChoice>> {
    let names = decnet_format::all().map(|spec| spec.name).chain(["none"]);
    PossibleValuesParser::new(names.collect::<Vec<_>>()).try_map(|text| value_or_none::<FormatChoice>(&text))
}

fn format_option(text: &str) -> Result<(String, String), String> {
    let option = text.split_once('=').ok_or("write an option as NAME=VALUE")?;
    Ok((option.0.to_owned(), option.1.to_owned()))
}

impl DestinationArgs {
    /// Sets the changes that the arguments describe.
    ///
    /// # Errors
    /// The template cannot be read, or a value is out of bounds.
    pub(super) fn apply(self, patch: &mut SettingsPatch) -> anyhow::Result<()> {
        let switch = |on: bool, off: bool| if on || off { Change::To(on) } else { Change::Keep };
        patch.template = self.template()?;
        patch.digest = self.digest()?;
        patch.format = self.format()?;
        patch.filter = self.filter.unwrap_or_default();
        patch.min_severity = self.min_severity.unwrap_or_default();
        patch.method = self.method.map_or(Change::Keep, Change::To);
        patch.gzip = switch(self.gzip, self.no_gzip);
        Ok(())
    }

    fn format(&self) -> anyhow::Result<Change<FormatChoice>> {
        let Some(Change::To(mut choice)) = self.format.clone() else {
            return Ok(self.format.clone().unwrap_or_default());
        };
        for (name, value) in &self.format_options {
            choice = choice.with_option(name, value).map_err(|error| usage("--format-option", &error))?;
        }
        Ok(Change::To(choice))
    }

    fn template(&self) -> anyhow::Result<Change<TemplateSource>> {
        match &self.template_file {
            Some(path) => {
                let text = file_args::read(path, MAX_TEMPLATE_BYTES as u64 + 1, "template")?;
                Ok(Change::To(TemplateSource::new(text).map_err(|error| usage("--template-file", &error))?))
            }
            None if self.no_template => Ok(Change::Reset),
            None => Ok(Change::Keep),
        }
    }

    fn digest(&self) -> anyhow::Result<Change<Digest>> {
        match self.digest {
            Some(window) => {
                let digest = Digest::new(window, self.digest_max.unwrap_or(DEFAULT_DIGEST_EVENTS));
                Ok(Change::To(digest.map_err(|error| usage("--digest", &error))?))
            }
            None if self.no_digest => Ok(Change::Reset),
            None => Ok(Change::Keep),
        }
    }
}

fn usage(argument: &str, error: &DestinationError) -> anyhow::Error {
    Usage::new(format!("{argument}: {error}")).into()
}

/// Returns the settings of the destination in a few words each.
pub(super) fn summary(settings: &Settings) -> impl Iterator<Item = String> {
    let Settings { filter, min_severity, format, template, method, gzip, digest, .. } = settings;
    let filter = filter.as_ref().map(|filter| format!("filter {filter}"));
    let severity = min_severity.map(|severity| format!("severity {severity} or higher"));
    let format = format.as_ref().map(|format| {
        let options = format.options().map(|(name, value)| format!(" {name}={value}")).collect::<String>();
        format!("format {}{options}", format.name())
    });
    let template = template.as_ref().map(|_| "with a template".to_owned());
    let method = method.map(|method| method.as_str().to_owned());
    let gzip = gzip.then(|| "compressed".to_owned());
    let digest = digest.map(|digest| {
        let window = decnet_core::duration::show(digest.window());
        format!("digest of {window}, {} events listed", digest.max())
    });
    [filter, severity, format, template, method, gzip, digest].into_iter().flatten()
}
