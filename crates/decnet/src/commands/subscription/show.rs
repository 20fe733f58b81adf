//! `decnet subscription show`: shows one subscription.

use decnet_core::time::UnixMicros;
use decnet_store::catalog::Row;

use super::list::state;
use super::settings_args::summary;
use super::{Target, credential_args};
use crate::commands::shared::times::when;
use crate::context::Context;
use crate::output::{self, Paint, Text};
use crate::receiver::now;
use crate::store::open_existing;

pub(super) fn run(target: &Target, context: &Context) -> anyhow::Result<()> {
    let row = open_existing(&context.config)?.find(&target.name)?;
    if target.json { output::json(&row) } else { output::print(&human(&row, context.paint)) }
}

/// Formats a row with one line per column. The values of custom headers may be secrets, so only their names are shown; credentials
/// are summarized.
pub(super) fn human(row: &Row, paint: Paint) -> Text {
    let is_ahead = |at: &UnixMicros| *at > now();
    let deferred = row.deferred_until.filter(is_ahead);
    let deferred =
        deferred.map(|at| format!("until {}, as requested by the receiver (Retry-After)", when(at)));
    let old_secrets = row.old_secrets_until.iter().copied().filter(is_ahead);
    let fields = [
        ("name", row.name.clone()),
        ("uuid", row.uuid.clone()),
        ("url", row.redacted_url()),
        ("patterns", row.topic_patterns.join(" ")),
        ("state", state(row)),
        ("settings", summary(&row.settings)),
        ("headers", list(row.settings.headers.names().map(str::to_owned))),
        ("credentials", list(credential_args::summary(&row.settings.credentials))),
        ("old secrets", list(old_secrets.map(|until| format!("valid until {}", when(until))))),
        ("deferred", list(deferred)),
        ("last success", when(row.last_success_at)),
        ("last failure", when(row.last_failure_at)),
        ("last error", list(row.last_error.clone())),
        ("tripped", when(row.auto_disabled_at)),
        ("created", when(row.created_at)),
        ("updated", when(row.updated_at)),
    ];
    let problem = row.problem.iter().map(|what| ("problem", what.clone()));
    let remarks = problem.chain(row.warnings.iter().map(|what| ("warning", what.clone())));
    let mut text = Text::default();
    fields.into_iter().chain(remarks).for_each(|(name, value)| text.field(paint, name, &value));
    text
}

/// Joins texts; `-` for none.
pub(super) fn list(texts: impl IntoIterator<Item = String>) -> String {
    let texts: Vec<_> = texts.into_iter().collect();
    if texts.is_empty() { "-".into() } else { texts.join(", ") }
}
