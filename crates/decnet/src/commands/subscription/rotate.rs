//! `decnet subscription rotate-secret`.

use std::time::Duration;

use decnet_core::duration;
use decnet_core::limits::DEFAULT_SECRET_OVERLAP;
use decnet_store::catalog::Row;

use super::{existing, secret};
use crate::commands::link;
use crate::commands::secret_args::SecretArgs;
use crate::config::read_duration;
use crate::context::Context;
use crate::output::{self, Text};
use crate::receiver::now;

/// Gives a subscription a new secret, and lets the old one sign beside it for a while.
///
/// Until then every request carries both signatures in webhook-signature, so that its receiver may change over when it
/// likes. X-DECNET-Signature holds one only, that of the new secret. Up to two old secrets sign at a time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription rotate-secret siem
  decnet subscription rotate-secret siem --overlap 7d --secret-file new-secret.txt
  decnet subscription rotate-secret siem --overlap 0     # the old one is known to others
  decnet subscription rotate-secret siem --revoke        # the receiver has changed over")]
pub(super) struct Args {
    /// Its name or UUID
    #[arg(value_name = "NAME")]
    name: String,
    /// How long the old secret signs beside the new one, up to 30d; 24h unless given
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    overlap: Option<Duration>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Keep the secret, and let no older one sign any more
    #[arg(long, conflicts_with_all = ["overlap", "secret", "secret_file"])]
    revoke: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let mut catalog = existing(context)?;
    let uuid = catalog.find(&args.name)?.uuid;
    if args.revoke {
        let revoked = catalog.revoke_old_secrets(&uuid, now())?;
        let row = catalog.find(&uuid)?;
        link::announce_change(&context.config).await;
        let told = told_revoked(&row, revoked);
        let written = if args.json { output::json(&row) } else { output::line(&told) };
        return output::done(&told, written);
    }
    let (secret, made) = args.secret.read_or_make()?;
    let overlap = args.overlap.unwrap_or(DEFAULT_SECRET_OVERLAP);
    catalog.rotate_secret(&uuid, &secret, overlap, now()).map_err(super::refused)?;
    let row = catalog.find(&uuid)?;
    link::announce_change(&context.config).await;
    let written = if args.json { json(&row, made.as_deref()) } else { human(&row, made.as_deref(), overlap) };
    let what = format!("{} ({}) has a new secret", row.name, row.uuid);
    output::done(&secret::unseen(what, &row, made.is_some()), written)
}

fn json(row: &Row, made: Option<&str>) -> anyhow::Result<()> {
    let mut value = serde_json::to_value(row)?;
    value["secret"] = made.into();
    output::json(&value)
}

fn human(row: &Row, made: Option<&str>, overlap: Duration) -> anyhow::Result<()> {
    let old = if overlap.is_zero() {
        "the old secret signs nothing any more".to_owned()
    } else {
        format!("the old secret signs too for {}", duration::show(overlap))
    };
    let mut text = Text::from(format!("{} has a new secret; {old}", row.name));
    text.end_line();
    secret::show(&mut text, made);
    output::print(&text)
}

fn told_revoked(row: &Row, revoked: usize) -> String {
    match revoked {
        0 => format!("no older secret of {} signs; nothing was changed", row.name),
        1 => format!("the older secret of {} signs nothing any more", row.name),
        more => format!("{more} older secrets of {} sign nothing any more", row.name),
    }
}
