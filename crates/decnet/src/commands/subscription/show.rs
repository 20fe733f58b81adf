//! `decnet subscription show`: shows one subscription.

use decnet_store::catalog::Row;

use super::list::{state, when};
use super::open_existing;
use super::settings_args::summary;
use crate::context::Context;
use crate::output::{self, Paint, Text};
use crate::receiver::now;

/// Shows one subscription, without its secret.
///
/// Only scheme, host and port of the URL are shown, because the rest may be a secret; --json prints it completely.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription show siem
  decnet subscription show 3f2b8c1d --json")]
pub(super) struct Args {
    /// The name or UUID of the subscription
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let row = open_existing(context)?.find(&args.name)?;
    if args.json { output::json(&row) } else { output::print(&human(&row, context.paint)) }
}

/// Formats a row with one line per column.
pub(super) fn human(row: &Row, paint: Paint) -> Text {
    let fields = [
        ("name", row.name.clone()),
        ("uuid", row.uuid.clone()),
        ("url", row.shown_url()),
        ("patterns", row.topic_patterns.join(" ")),
        ("state", state(row)),
        ("settings", summary(&row.settings)),
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
    let remarks =
        row.problem.iter().map(|what| ("problem", what)).chain(row.warnings.iter().map(|w| ("warning", w)));
    let remarks = remarks.map(|(name, what)| (name, what.clone()));
    let mut text = Text::default();
    fields.into_iter().chain(remarks).for_each(|(name, value)| text.field(paint, name, &value));
    text
}

/// Lists the names of custom headers. Their values may be secrets.
fn headers(row: &Row) -> String {
    let names: Vec<&str> = row.settings.headers.names().collect();
    if names.is_empty() { "-".into() } else { names.join(", ") }
}

/// Formats the time until which the receiver has asked not to be sent requests.
fn deferred(row: &Row) -> String {
    let until = row.deferred_until.filter(|until| *until > now());
    let text = |until| format!("until {}, as requested by the receiver (Retry-After)", when(Some(until)));
    until.map_or_else(|| "-".into(), text)
}

/// Lists until when older secrets still sign.
fn old_secrets(row: &Row) -> String {
    let valid = row.old_secrets_until.iter().filter(|until| **until > now());
    let valid: Vec<String> = valid.map(|until| format!("valid until {}", when(Some(*until)))).collect();
    if valid.is_empty() { "-".into() } else { valid.join(", ") }
}
