//! `decnet subscription update`, `delete`, `enable`, `disable`, `pause` and `resume`.

use decnet_core::redact::EndpointUrl;
use decnet_core::subscription::check_new_name;
use decnet_store::catalog::{Patch, Row};

use super::patterns::PatternArgs;
use super::settings_args::SettingsArgs;
use super::url_args::UrlArgs;
use super::{Target, show};
use crate::commands::shared::secret_args::SecretArgs;
use crate::commands::shared::{bus_client, receiver_url};
use crate::context::Context;
use crate::failure::Usage;
use crate::output;
use crate::receiver::now;
use crate::store::open_existing;

/// Changes the given values of a subscription and keeps all other values.
///
/// Given patterns replace all existing patterns.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription update siem --url https://siem.example/v2/hook
  decnet subscription update siem --pattern 'attacker.>' --pattern 'canary.>'
  decnet subscription update siem --secret-file new-secret.txt
  decnet subscription update siem --rate 50/s
  decnet subscription update siem --batch 100 --linger 2s --batch-format cloudevents
  decnet subscription update siem --no-batch
  decnet subscription update siem --header-file headers.txt --no-header x-old
  decnet subscription update siem --bearer-file token.txt --trust-roots ca.pem
  decnet subscription update siem --retry-schedule 1s,2s,4s,30s --timeout 5s --concurrency 4
  decnet subscription update siem --retry-schedule default --trace")]
pub(crate) struct UpdateArgs {
    #[command(flatten)]
    target: Target,
    /// The new name
    #[arg(long = "name", value_name = "NEW_NAME")]
    new_name: Option<String>,
    #[command(flatten)]
    url: UrlArgs,
    #[command(flatten)]
    patterns: PatternArgs,
    #[command(flatten)]
    secret: SecretArgs,
    #[command(flatten)]
    settings: SettingsArgs,
    /// Remove headers, credentials and old secrets that cannot be decrypted, because their encryption key is lost
    #[arg(long)]
    discard_encrypted: bool,
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> anyhow::Result<()> {
    let url = args.url.read()?;
    let patterns = (!args.patterns.is_empty()).then(|| args.patterns.read()).transpose()?;
    let secret = args.secret.read_new()?;
    let warnings = url.iter().flat_map(|url| receiver_url::warnings(url, &context.config));
    warnings.for_each(|warning| output::warn(&warning));
    let settings = args.settings.read()?;
    let patch = Patch {
        name: args.new_name,
        url,
        secret,
        patterns,
        settings,
        discard_encrypted: args.discard_encrypted,
        ..Patch::default()
    };
    if patch == Patch::default() {
        let what = "nothing to change: specify --name, --url, --url-file, --pattern, --event, --secret-file, or a setting such as --rate";
        return Err(Usage::new(what).into());
    }
    change(&args.target, &patch, "updated", context).await
}

/// Changes a subscription and prints it. `done` is what was done to it.
pub(super) async fn change(
    target: &Target,
    patch: &Patch,
    done: &str,
    context: &Context,
) -> anyhow::Result<()> {
    let mut catalog = open_existing(&context.config)?;
    let Row { uuid, name, .. } = catalog.find(&target.name)?;
    // An unchanged name is accepted, because DECNET may have set a name that the rules here forbid.
    if let Some(new) = patch.name.as_ref().filter(|new| **new != name) {
        check_new_name(new).map_err(|error| super::refused(error.into()))?;
    }
    catalog.update(&uuid, patch, now()).map_err(super::refused)?;
    let row = catalog.find(&uuid)?;
    let mut warnings = unformatted(&row, patch);
    warnings.extend(bus_client::announce_change(&context.config, catalog.take_unpublished()).await);
    let what = format!("{done} {} ({})", row.name, row.uuid);
    output::done(&what, print(target, row, warnings, done, context))
}

/// Returns a warning if the patch makes a subscription send plain events to a service that refuses them.
fn unformatted(row: &Row, patch: &Patch) -> Vec<String> {
    let is_changed = patch.url.is_some() || !patch.settings.format.is_keep();
    let url = EndpointUrl::new(&row.url).ok().filter(|_| is_changed);
    let warning = url.and_then(|url| receiver_url::format_warning(&url, &row.settings));
    warning.iter().for_each(|warning| output::warn(warning));
    warning.into_iter().collect()
}

pub(super) async fn delete(target: &Target, context: &Context) -> anyhow::Result<()> {
    let mut catalog = open_existing(&context.config)?;
    let mut row = catalog.find(&target.name)?;
    catalog.delete(&row.uuid, now())?;
    row.warnings.extend(bus_client::announce_change(&context.config, catalog.take_unpublished()).await);
    let what = format!("deleted {} ({})", row.name, row.uuid);
    output::done(&what, if target.json { output::json(&row) } else { output::line(&what) })
}

/// Prints a changed row: as JSON, which also has the `warnings` about the change, or for a reader, who has seen these.
fn print(
    target: &Target,
    mut row: Row,
    warnings: Vec<String>,
    done: &str,
    context: &Context,
) -> anyhow::Result<()> {
    if target.json {
        row.warnings.extend(warnings);
        return output::json(&row);
    }
    output::line(&format!("{done} {}", row.name))?;
    output::print(&show::human(&row, context.paint))
}
