//! `decnet delivery`: the deliveries in the queue, and redelivery.

mod filter_args;
mod list;
mod redeliver;
mod show;

use decnet_store::catalog::Catalog;
use decnet_store::queue::ActiveSubscriptions;

use crate::config::Config;
use crate::context::Context;
use crate::failure::format_error;
use crate::store::read_if_exists;

/// Lists deliveries, shows their attempts and redelivers events.
///
/// Reads the queue in the data directory, whether or not a worker is running.
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

/// Reads the active subscriptions from the catalog. A delivery that waits for another subscription is parked, although the queue
/// does not store that state. If the catalog cannot be read, only the states of the queue are shown.
fn active_subscriptions(config: &Config) -> ActiveSubscriptions {
    let rows = read_if_exists(config, Catalog::rows).unwrap_or_else(|error| {
        tracing::warn!(
            "cannot read the catalog, so parked deliveries are shown as pending or retrying: {}",
            format_error(&error)
        );
        None
    });
    // Without a catalog there are no subscriptions, so nothing is parked.
    rows.map(ActiveSubscriptions::of).unwrap_or_default()
}
