//! `decnet subscription rotate-secret`: replaces the secret of a subscription.

use std::time::Duration;

use decnet_core::duration;
use decnet_core::limits::DEFAULT_SECRET_OVERLAP;
use decnet_store::catalog::Row;

use super::{Target, secret};
use crate::commands::shared::bus_client;
use crate::commands::shared::secret_args::SecretArgs;
use crate::config::read_duration;
use crate::context::Context;
use crate::output;
use crate::receiver::now;
use crate::store::open_existing;

/// Gives a subscription a new secret. The old secret remains valid for a while.
///
/// During that time every request has both signatures in webhook-signature, so that the receiver can switch at any time.
/// X-DECNET-Signature has only the signature of the new secret. At most two old secrets are valid at a time.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription rotate-secret siem
  decnet subscription rotate-secret siem --overlap 7d --secret-file new-secret.txt
  decnet subscription rotate-secret siem --overlap 0     # the old secret has leaked
  decnet subscription rotate-secret siem --revoke        # the receiver uses the new secret")]
pub(crate) struct Args {
    /// The time for which requests are also signed with the old secret, up to 30d [default: 24h]
    #[arg(long, value_name = "DURATION", value_parser = read_duration)]
    overlap: Option<Duration>,
    #[command(flatten)]
    secret: SecretArgs,
    /// Keep the current secret and stop signing with older secrets
    #[arg(long, conflicts_with_all = ["overlap", "secret", "secret_file"])]
    revoke: bool,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let (mut catalog, as_json) = (open_existing(&context.config)?, args.target.json);
    let uuid = catalog.find(&args.target.name)?.uuid;
    if args.revoke {
        let revoked = catalog.revoke_old_secrets(&uuid, now())?;
        let mut row = catalog.find(&uuid)?;
        row.warnings.extend(bus_client::announce_change(&context.config, catalog.take_unpublished()).await);
        let what = describe_revoked(&row, revoked);
        return output::done(&what, if as_json { output::json(&row) } else { output::line(&what) });
    }
    let (secret, generated) = args.secret.read_or_generate()?;
    let overlap = args.overlap.unwrap_or(DEFAULT_SECRET_OVERLAP);
    catalog.rotate_secret(&uuid, &secret, overlap, now()).map_err(super::refused)?;
    let row = catalog.find(&uuid)?;
    let warnings = bus_client::announce_change(&context.config, catalog.take_unpublished()).await;
    let done = format!("{} has a new secret; {}", row.name, describe_old(overlap));
    let written = secret::print(&row, generated.as_deref(), warnings, &done, as_json);
    let what = format!("{} ({}) has a new secret", row.name, row.uuid);
    output::done(&secret::unseen(what, &row, generated.is_some()), written)
}

fn describe_old(overlap: Duration) -> String {
    if overlap.is_zero() {
        return "requests are no longer signed with the old secret".into();
    }
    format!("requests are also signed with the old secret for {}", duration::show(overlap))
}

fn describe_revoked(row: &Row, revoked: usize) -> String {
    match revoked {
        0 => format!("{} has no older secret; nothing was changed", row.name),
        1 => format!("revoked the older secret of {}", row.name),
        more => format!("revoked {more} older secrets of {}", row.name),
    }
}
