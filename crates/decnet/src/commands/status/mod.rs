//! `decnet status`: the status of a running worker.

mod files;
mod screen;
mod view;
mod watch;

use std::time::Duration;

use serde_json::json;

use self::view::View;
use crate::config::read_duration_within;
use crate::context::Context;
use crate::output;
use decnet_telemetry::client::{self, Error};
use decnet_telemetry::status::Status;

/// The time between the two samples from which rates are computed.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(500);
/// The shortest time between two updates that can be set.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// The longest time between two updates that can be set.
const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// Shows the worker's health, its queue and each subscription.
///
/// Rates are measured over half a second; totals count from the worker's start. If no worker is running, the status of catalog
/// and queue is shown and the exit code is 1. With --watch the display is updated until q: the arrows scroll, s changes
/// the sort order.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet status
  decnet status --watch
  decnet status --json | jq '.worker.subscriptions[] | select(.state != \"open\") | .name'")]
pub(crate) struct Args {
    /// Update continuously: on a terminal as a full-screen page, otherwise as one table after the other
    #[arg(long)]
    watch: bool,
    /// With --watch: the time between two updates
    #[arg(long, value_name = "DURATION", default_value = "1s",
          value_parser = |text: &str| read_duration_within(text, MIN_INTERVAL, MAX_INTERVAL))]
    interval: Duration,
    /// Print one JSON object per update: `worker` is null if none is running; `files` is then the status of catalog and queue
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    if args.watch { watch::run(&args, context).await } else { print(args.json, context).await }
}

async fn fetch(context: &Context) -> Result<Status, Error> {
    client::status(&context.config.data_dir).await
}

async fn print(as_json: bool, context: &Context) -> anyhow::Result<()> {
    let before = match fetch(context).await {
        Ok(before) => before,
        Err(error @ Error::NoWorker(_)) => {
            let subscriptions = files::read(&context.config)?;
            if as_json {
                output::json(&json!({"worker": null, "files": {"subscriptions": subscriptions}}))?;
            } else {
                files::print(subscriptions, context.paint)?;
            }
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    if as_json {
        return output::json(&json!({ "worker": before }));
    }
    tokio::time::sleep(SAMPLE_INTERVAL).await;
    let view = View::between(Some(&before), &fetch(context).await?);
    output::print(&view.render(context.paint))
}
