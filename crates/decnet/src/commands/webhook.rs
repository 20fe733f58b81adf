//! `decnet webhook`: the webhook worker alone.

use super::shared::detach::DetachArgs;
use crate::context::Context;
use crate::store::create_data_dir;
use crate::worker::Prepared;

/// Runs the webhook worker alone, without bus and API.
///
/// Subscriptions are read from the catalog (DECNET_DB_URL, or decnet.db in the data directory). Deliveries are stored in
/// queue.db in the data directory. While the bus is unavailable the worker continues to deliver queued events. SIGTERM,
/// SIGINT and a stop command on `system.webhook.control` end it cleanly.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet webhook
  decnet --data-dir /srv/decnet webhook
  DECNET_DB_URL=sqlite:////opt/decnet/decnet.db decnet webhook    # with an existing DECNET")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) detach: DetachArgs,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let config = &context.config;
    create_data_dir(&config.data_dir)?;
    let socket = config.bus.enabled.then(|| config.bus.path().to_owned());
    let prepared = Prepared::open(config, socket.as_deref(), 0)?;
    args.detach.leave()?;
    let _reporting = prepared.service().report(context.shutdown.clone());
    prepared.run(context.shutdown.clone()).await
}
