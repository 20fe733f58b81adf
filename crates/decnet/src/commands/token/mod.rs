//! `decnet token`: manages the tokens of the HTTP API in the catalog. Needs no daemon.

mod create;
mod list;
mod revoke;

use crate::context::Context;

/// Creates, lists and revokes the tokens of the HTTP API.
///
/// A token is sent as `Authorization: Bearer dcn_…`. Its scope limits what it may do: `read` reads subscriptions and
/// deliveries, `publish` only submits events, `admin` may do everything. Only a digest of the token is stored, so it is
/// shown once. A revoked or expired token is rejected at once.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  decnet token create --name ci --scope publish --expires 90d
  decnet token list
  decnet token revoke ci")]
pub(crate) enum Command {
    Create(create::Args),
    List(list::Args),
    Revoke(revoke::Args),
}

pub(crate) fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create::run(args, context),
        Command::List(args) => list::run(&args, context),
        Command::Revoke(args) => revoke::run(&args, context),
    }
}
