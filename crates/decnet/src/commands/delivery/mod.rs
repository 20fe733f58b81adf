//! `decnet delivery`: the deliveries in the queue, and redelivery.

mod filter_args;
mod list;
mod redeliver;
mod show;
mod standing;

use crate::context::Context;

/// Lists deliveries, shows their attempts and redelivers events.
///
/// Reads the queue in the data directory, whether or not a worker runs.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  decnet delivery list --state dead --since 1d
  decnet delivery show 1042.0
  decnet delivery redeliver --dead --subscription siem")]
pub(crate) enum Command {
    List(list::Args),
    Show(show::Args),
    Redeliver(redeliver::Args),
}

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Redeliver(args) => redeliver::run(args, context).await,
    }
}
