//! `decnet token revoke`: revokes a token.

use crate::commands::shared::catalog::open_existing;
use crate::context::Context;
use crate::output;
use crate::receiver::now;

/// Revokes a token permanently. Requests with it are rejected from now on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token revoke ci
  decnet token revoke 5f0c3a91d27be846")]
pub(crate) struct Args {
    /// The name or id of the token
    token: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let revoked = open_existing(&context.config)?.revoke_token(&args.token, now())?;
    let what = format!("revoked {} ({})", revoked.name, revoked.id);
    output::done(&what, if args.json { output::json(&revoked) } else { output::line(&what) })
}
