//! `decnet subscription list`: lists the subscriptions.

use decnet_core::subscription::Activity;
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Error, Row};

use super::open_existing;
use crate::context::Context;
use crate::output::{self, Table};

/// Lists all subscriptions, including those with an invalid row.
///
/// Only scheme, host and port of a URL are shown, because the rest may be a secret; --json prints it completely.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription list
  decnet subscription list --json | jq -r '.[] | select(.paused) | .name'
  decnet subscription list --json | jq -r '.[] | select(.problem) | .name'")]
pub(super) struct Args {
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let rows = rows(context)?;
    if args.json {
        return output::json(&rows);
    }
    if rows.is_empty() {
        let catalog = &context.config.database;
        output::say(&format!(
            "no subscriptions yet in {catalog}; create one with `decnet subscription create`"
        ));
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "UUID", "STATE", "URL", "PATTERNS", "LAST SUCCESS"]);
    for row in &rows {
        table.row([
            row.name.clone(),
            row.uuid.clone(),
            state(row),
            row.shown_url(),
            row.topic_patterns.join(" "),
            when(row.last_success_at),
        ]);
    }
    table.print(context.paint)?;
    rows.iter().for_each(report);
    Ok(())
}

/// Returns the rows; none if there is no catalog yet.
fn rows(context: &Context) -> anyhow::Result<Vec<Row>> {
    match open_existing(context) {
        Ok(catalog) => Ok(catalog.rows()?),
        Err(error) if matches!(error.downcast_ref(), Some(Error::Missing { .. })) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn report(row: &Row) {
    let problem = row.problem.iter().map(|what| format!("{}: nothing is delivered: {what}", row.name));
    let warnings = row.warnings.iter().map(|what| format!("{}: {what}", row.name));
    problem.chain(warnings).for_each(|line| output::say(&line));
}

/// Formats the state of a subscription.
pub(super) fn state(row: &Row) -> String {
    match (row.activity, row.gone) {
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

/// Formats a time in UTC, to the second.
pub(super) fn when(at: Option<UnixMicros>) -> String {
    at.map_or_else(|| "-".into(), |at| at.to_sqlite().chars().take(19).collect())
}
