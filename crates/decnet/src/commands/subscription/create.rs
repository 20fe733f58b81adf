//! `decnet subscription create`: creates a subscription.

use decnet_core::settings::Settings;
use decnet_core::subscription::check_new_name;
use decnet_store::catalog::NewSubscription;

use super::patterns::PatternArgs;
use super::secret;
use super::settings_args::SettingsArgs;
use super::url_args::UrlArgs;
use crate::commands::shared::secret_args::SecretArgs;
use crate::commands::shared::{bus_client, receiver_url};
use crate::context::Context;
use crate::failure::Usage;
use crate::output;
use crate::receiver::now;
use crate::store::open_or_create;

/// Creates a subscription and prints its generated secret, which is not shown again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription create --name siem --url https://siem.example/hook --event AttackerDetail
  decnet subscription create --name all --url http://127.0.0.1:8080/ --pattern '>'
  decnet subscription create --name a --url https://a.example/ --pattern 'a.*' --secret-file key
  decnet subscription create --name soc --url-file url.txt --format slack --pattern 'a.*'
  decnet subscription create --name lake --url https://lake.example/ --pattern '>' --batch 100")]
pub(crate) struct Args {
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
    let missing = || Usage::new("the URL of the receiver is missing: specify --url or --url-file");
    let url = args.url.read()?.ok_or_else(missing)?;
    let (secret, generated) = args.secret.read_or_generate()?;
    let mut warnings = receiver_url::warnings(&url, &context.config);
    let settings = args.settings.read()?.apply(&Settings::default());
    let settings = settings.map_err(|error| super::settings_refused(&error))?;
    warnings.extend(receiver_url::format_warning(&url, &settings));
    let new = NewSubscription { name: args.name, url, secret, patterns, enabled: !args.disabled, settings };
    let mut catalog = open_or_create(&context.config)?;
    let uuid = catalog.create(&new, now()).map_err(super::refused)?;
    let row = catalog.find(&uuid)?;
    warnings.iter().for_each(|warning| output::warn(warning));
    warnings.extend(bus_client::announce_change(&context.config, catalog.take_unpublished()).await);
    let what = format!("created {} ({})", row.name, row.uuid);
    let written = secret::print(&row, generated.as_deref(), warnings, &what, args.json);
    output::done(&secret::unseen(what, &row, generated.is_some()), written)
}
