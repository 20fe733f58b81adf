//! `decnet subscription create`: creates a subscription.

use decnet_core::settings::Settings;
use decnet_core::subscription::check_new_name;
use decnet_store::catalog::{NewSubscription, Row};

use super::patterns::PatternArgs;
use super::settings_args::SettingsArgs;
use super::url_args::UrlArgs;
use super::{secret, warn};
use crate::commands::bus_client;
use crate::commands::catalog::open_or_create;
use crate::commands::secret_args::SecretArgs;
use crate::context::Context;
use crate::output::{self, Text};
use crate::receiver::now;

/// Creates a subscription and prints its generated secret, which is not shown again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription create --name siem --url https://siem.example/hook --event AttackerDetail
  decnet subscription create --name all --url http://127.0.0.1:8080/ --pattern '>'
  decnet subscription create --name a --url https://a.example/ --pattern 'a.*' --secret-file key
  decnet subscription create --name chat --url-file url.txt --pattern 'a.*' --rate 1/s
  decnet subscription create --name lake --url https://lake.example/ --pattern '>' --batch 100")]
pub(super) struct Args {
    /// The unique name of the subscription
    #[arg(long)]
    name: String,
    #[command(flatten)]
    url: UrlArgs,
    #[command(flatten)]
    patterns: PatternArgs,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Create the subscription disabled
    #[arg(long)]
    disabled: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    check_new_name(&args.name).map_err(|error| super::refused(error.into()))?;
    let patterns = args.patterns.read()?;
    let url = args.url.required()?;
    let (secret, generated) = args.secret.read_or_generate()?;
    let warnings = warn::of_url(&url, &context.config);
    let settings = args.settings.read()?.apply(&Settings::default());
    let settings = settings.map_err(|error| super::settings_refused(&error))?;
    let new = NewSubscription { name: args.name, url, secret, patterns, enabled: !args.disabled, settings };
    let row = create(&new, context)?;
    bus_client::announce_change(&context.config).await;
    warnings.iter().for_each(|warning| output::say(&format!("decnet: warning: {warning}")));
    let written = if args.json {
        json(&row, generated.as_deref(), &warnings)
    } else {
        human(&row, generated.as_deref())
    };
    let what = format!("created {} ({})", row.name, row.uuid);
    output::done(&secret::unseen(what, &row, generated.is_some()), written)
}

fn create(new: &NewSubscription, context: &Context) -> anyhow::Result<Row> {
    let mut catalog = open_or_create(context)?;
    let uuid = catalog.create(new, now()).map_err(super::refused)?;
    Ok(catalog.find(&uuid)?)
}

fn json(row: &Row, generated: Option<&str>, warnings: &[String]) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(row)?;
    value["secret"] = generated.into();
    if let Some(all) = value["warnings"].as_array_mut() {
        all.extend(warnings.iter().map(|warning| warning.as_str().into()));
    }
    output::json(&value)
}

fn human(row: &Row, generated: Option<&str>) -> anyhow::Result<()> {
    let mut text = Text::from(format!("created {} ({})", row.name, row.uuid));
    text.end_line();
    secret::show(&mut text, generated);
    output::print(&text)
}
