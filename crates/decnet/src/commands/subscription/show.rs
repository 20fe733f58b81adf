//! `decnet subscription show`.

use decnet_store::catalog::Row;

use super::existing;
use super::list::{state, when};
use super::settings_args::shown;
use crate::context::Context;
use crate::output::{self, Paint, Text};
use crate::receiver::now;

/// Shows one subscription, without its secret.
///
/// Of its URL, scheme, host and port are shown, since the rest may be a secret; --json has it whole.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription show siem
  decnet subscription show 3f2b8c1d --json")]
pub(super) struct Args {
    /// Its name or UUID
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let row = existing(context)?.find(&args.name)?;
    if args.json { output::json(&row) } else { output::print(&human(&row, context.paint)) }
}

/// A line a column.
pub(super) fn human(row: &Row, paint: Paint) -> Text {
    let fields = [
        ("name", row.name.clone()),
        ("uuid", row.uuid.clone()),
        ("url", row.shown_url()),
        ("patterns", row.topic_patterns.join(" ")),
        ("state", state(row)),
        ("settings", shown(&row.settings)),
        ("headers", headers(row)),
        ("old secrets", old_secrets(row)),
        ("deferred", deferred(row)),
        ("last success", when(row.last_success_at)),
        ("last failure", when(row.last_failure_at)),
        ("last error", row.last_error.clone().unwrap_or_else(|| "-".into())),
        ("tripped", when(row.auto_disabled_at)),
        ("created", when(row.created_at)),
        ("updated", when(row.updated_at)),
    ];
    let complaints =
        row.problem.iter().map(|what| ("problem", what)).chain(row.warnings.iter().map(|w| ("warning", w)));
    let complaints = complaints.map(|(name, what)| (name, what.clone()));
    let mut text = Text::default();
    fields.into_iter().chain(complaints).for_each(|(name, value)| text.field(paint, name, &value));
    text
}

/// Their names; the values may be secrets.
fn headers(row: &Row) -> String {
    let names: Vec<&str> = row.settings.headers.names().collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}

/// Until when its receiver has asked to be sent nothing.
fn deferred(row: &Row) -> String {
    let until = row.deferred_until.filter(|until| *until > now());
    let text = |until| format!("until {}: the receiver asked for it (Retry-After)", when(Some(until)));
    until.map_or_else(|| "-".into(), text)
}

/// Which still sign beside the newest.
fn old_secrets(row: &Row) -> String {
    let living = row.old_secrets_until.iter().filter(|until| **until > now());
    let living: Vec<String> = living.map(|until| format!("signs until {}", when(Some(*until)))).collect();
    if living.is_empty() { "-".into() } else { living.join(", ") }
}
