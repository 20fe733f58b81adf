//! `decnet token`: who may use the HTTP API. Works on the catalog itself; no daemon is needed.

mod create;
mod list;
mod revoke;

use crate::context::Context;

/// Makes, lists and revokes the tokens of the HTTP API.
///
/// A token is sent as `Authorization: Bearer dcn_…`. Its scope says what it may do: `read` sees subscriptions and
/// deliveries, `publish` hands in events and sees nothing, `admin` may do everything. Only a digest of it is kept, so
/// it is shown once. What is revoked or has expired stops at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token list
  decnet token revoke ci")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.command {
        Command::Create(args) => create::run(args, context),
        Command::List(args) => list::run(&args, context),
        Command::Revoke(args) => revoke::run(&args, context),
    }
}
