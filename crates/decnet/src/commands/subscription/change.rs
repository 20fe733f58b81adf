//! `decnet subscription update`, `delete`, `enable` and `disable`.

use decnet_core::subscription::check_new_name;
use decnet_store::catalog::{Patch, Row};

use super::patterns::PatternArgs;
use super::settings_args::SettingsArgs;
use super::url_args::UrlArgs;
use super::{existing, show, warn};
use crate::commands::link;
use crate::commands::secret_args::SecretArgs;
use crate::context::Context;
use crate::failure::Usage;
use crate::output;
use crate::receiver::now;

/// Changes what is named and leaves the rest as it is.
///
/// Patterns are replaced as a whole.
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
  decnet subscription update siem --retry-schedule 1s,2s,4s,30s --timeout 5s --concurrency 4
  decnet subscription update siem --retry-schedule default --trace")]
pub(super) struct UpdateArgs {
    #[command(flatten)]
    target: Target,
    /// Another name
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
}

/// Removes a subscription. Its waiting deliveries become dead.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription delete siem")]
pub(super) struct DeleteArgs {
    #[command(flatten)]
    target: Target,
}

/// Enables a subscription, and forgets what tripped it: what is parked goes out.
///
/// At once what was never tried; what waits for a retry when that is due. Where its receiver has asked for time
/// (Retry-After), that counts no more, and all that waits goes out at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription enable siem")]
pub(super) struct EnableArgs {
    #[command(flatten)]
    target: Target,
}

/// Disables a subscription: no new deliveries, the waiting ones are parked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription disable siem")]
pub(super) struct DisableArgs {
    #[command(flatten)]
    target: Target,
}

/// Pauses a subscription: new events wait for it, and nothing is sent until it is resumed.
///
/// What waits is parked, so it is kept as long as DECNET_WEBHOOK_RETAIN_PARKED says. A disabled subscription, in
/// contrast, gets no new deliveries at all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription pause siem")]
pub(super) struct PauseArgs {
    #[command(flatten)]
    target: Target,
}

/// Resumes a paused subscription: what waits goes out. One that is tripped or disabled stays so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription resume siem")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    target: Target,
}

#[derive(Debug, clap::Args)]
struct Target {
    /// Its name or UUID
    #[arg(value_name = "NAME")]
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn update(args: UpdateArgs, context: &Context) -> anyhow::Result<()> {
    let url = args.url.read()?;
    let patterns = if args.patterns.is_empty() { None } else { Some(args.patterns.read()) };
    let patterns = patterns.transpose()?;
    let secret = args.secret.read_new()?;
    for warning in url.iter().flat_map(|url| warn::of_url(url, &context.config)) {
        output::say(&format!("decnet: warning: {warning}"));
    }
    let settings = args.settings.read()?;
    let patch = Patch { name: args.new_name, url, secret, patterns, settings, ..Patch::default() };
    if patch == Patch::default() {
        let what = "nothing to change: give --name, --url, --url-file, --pattern, --event, --secret-file, or a setting such as --rate";
        return Err(Usage::new(what).into());
    }
    change(&args.target, &patch, "updated", context).await
}

pub(super) async fn enable(args: EnableArgs, context: &Context) -> anyhow::Result<()> {
    let patch = Patch { enabled: Some(true), ..Patch::default() };
    change(&args.target, &patch, "enabled", context).await
}

pub(super) async fn disable(args: DisableArgs, context: &Context) -> anyhow::Result<()> {
    let patch = Patch { enabled: Some(false), ..Patch::default() };
    change(&args.target, &patch, "disabled", context).await
}

pub(super) async fn pause(args: PauseArgs, context: &Context) -> anyhow::Result<()> {
    let patch = Patch { paused: Some(true), ..Patch::default() };
    change(&args.target, &patch, "paused", context).await
}

pub(super) async fn resume(args: ResumeArgs, context: &Context) -> anyhow::Result<()> {
    let patch = Patch { paused: Some(false), ..Patch::default() };
    change(&args.target, &patch, "resumed", context).await
}

async fn change(target: &Target, patch: &Patch, done: &str, context: &Context) -> anyhow::Result<()> {
    let mut catalog = existing(context)?;
    let Row { uuid, name, .. } = catalog.find(&target.name)?;
    // A name that DECNET gave it may stay.
    if let Some(new) = patch.name.as_ref().filter(|new| **new != name) {
        check_new_name(new).map_err(|error| super::refused(error.into()))?;
    }
    catalog.update(&uuid, patch, now()).map_err(super::refused)?;
    let row = catalog.find(&uuid)?;
    link::announce_change(&context.config).await;
    let what = format!("{done} {} ({})", row.name, row.uuid);
    output::done(&what, tell(target, &row, done, context))
}

pub(super) async fn delete(args: DeleteArgs, context: &Context) -> anyhow::Result<()> {
    let mut catalog = existing(context)?;
    let row = catalog.find(&args.target.name)?;
    catalog.delete(&row.uuid)?;
    link::announce_change(&context.config).await;
    let what = format!("deleted {} ({})", row.name, row.uuid);
    let written = if args.target.json { output::json(&row) } else { output::line(&what) };
    output::done(&what, written)
}

fn tell(target: &Target, row: &Row, done: &str, context: &Context) -> anyhow::Result<()> {
    if target.json {
        return output::json(row);
    }
    output::line(&format!("{done} {}", row.name))?;
    output::print(&show::human(row, context.paint))
}
