//! `decnet webhook`.

use super::catalog::make_data_dir;
use super::detach::DetachArgs;
use crate::context::Context;
use crate::worker::Prepared;

/// Runs the webhook worker alone: from the bus to the receivers.
///
/// Subscriptions come from the catalog (DECNET_DB_URL, else decnet.db in the data directory); deliveries are kept
/// in queue.db in the data directory until they are delivered. While the bus is away the worker stays up and
/// delivers what is queued. SIGTERM, SIGINT and a stop on `system.webhook.control` end it cleanly.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet webhook
  decnet --data-dir /srv/decnet webhook
  DECNET_DB_URL=sqlite:////opt/decnet/decnet.db decnet webhook    # beside a DECNET that is there")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let config = &context.config;
    make_data_dir(&config.data_dir)?;
    let socket = config.bus.enabled.then(|| config.bus.path().to_owned());
    let prepared = Prepared::open(config, socket.as_deref(), &[], 0)?;
    args.detach.leave()?;
    let _reporting = prepared.service().report_saving(context.shutdown.clone(), prepared.is_saving());
    prepared.run(context.shutdown.clone()).await
}
