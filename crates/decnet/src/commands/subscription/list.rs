//! `decnet subscription list`: lists the subscriptions.

use decnet_core::subscription::Activity;
use decnet_store::catalog::{Catalog, Row};

use crate::commands::shared::times::when;
use crate::context::Context;
use crate::output::{self, Table};
use crate::store::read_if_exists;

/// Lists all subscriptions, including those with an invalid row.
///
/// Only scheme, host and port of a URL are shown, because the rest may be a secret; --json prints it completely.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription list
  decnet subscription list --json | jq -r '.[] | select(.paused) | .name'
  decnet subscription list --json | jq -r '.[] | select(.problem) | .name'")]
pub(crate) struct Args {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let rows = read_if_exists(&context.config, Catalog::rows)?.unwrap_or_default();
    if args.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        let catalog = &context.config.database;
        output::note(&format!(
            "no subscriptions yet in {catalog}; create one with `decnet subscription create`"
        ));
        return Ok(());
    }
    let cells = |row: &Row| {
        let (url, patterns) = (row.redacted_url(), row.topic_patterns.join(" "));
        [row.name.clone(), row.uuid.clone(), state(row), url, patterns, when(row.last_success_at)]
    };
    let headings = ["NAME", "UUID", "STATE", "URL", "PATTERNS", "LAST SUCCESS"];
    Table::new(headings, rows.iter().map(cells)).print(context.paint)?;
    for Row { name, problem, warnings, .. } in &rows {
        let problem = problem.iter().map(|what| format!("{name}: nothing is delivered: {what}"));
        let warnings = warnings.iter().map(|what| format!("{name}: {what}"));
        problem.chain(warnings).for_each(|line| output::note(&line));
    }
    Ok(())
}

/// Formats the state of a subscription.
pub(super) fn state(row: &Row) -> String {
    match (row.activity, row.gone) {
        _ if row.is_held => "held".into(),
        _ if row.problem.is_some() => "BAD ROW".into(),
        (Activity::Active, _) if row.paused => "paused".into(),
        _ if row.paused => format!("paused, {}", state(&Row { paused: false, ..row.clone() })),
        (Activity::Active, _) if row.consecutive_failures > 0 => {
            format!("failing ({})", row.consecutive_failures)
        }
        (Activity::Active, _) => "active".into(),
        (Activity::Tripped, true) => "gone (410)".into(),
        (Activity::Tripped, false) => "tripped".into(),
        (Activity::Disabled, _) => "disabled".into(),
    }
}
