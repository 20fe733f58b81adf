//! `decnet token revoke`.

use crate::commands::catalog::existing;
use crate::context::Context;
use crate::output;
use crate::receiver::now;

/// Takes a token back, for good: whoever uses it is refused from now on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token revoke ci
  decnet token revoke 5f0c3a91d27be846")]
pub(super) struct Args {
    /// Its name or its id
    token: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let revoked = existing(context)?.revoke_token(&args.token, now())?;
    let what = format!("revoked {} ({})", revoked.name, revoked.id);
    output::done(&what, if args.json { output::json(&revoked) } else { output::line(&what) })
}
