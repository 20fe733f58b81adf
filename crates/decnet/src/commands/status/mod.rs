//! `decnet status`: a worker seen from outside.

mod files;
mod screen;
mod view;
mod watch;

use std::time::Duration;

use serde_json::json;

use self::view::View;
pub(super) use self::view::show_age;
use crate::context::Context;
use crate::observe::client::{self, Error};
use crate::observe::status::Status;
use crate::output;

/// Time between the two looks that make a rate.
const GLANCE: Duration = Duration::from_millis(500);

/// Shows the worker: its health, its queue, each subscription.
///
/// Rates are those of the last moment, totals those since the worker's start. While no worker runs it says so, and shows
/// what the files tell; the exit code is then 1. With --watch it goes on until q: the arrows scroll, s sorts otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet status
  decnet status --watch
  decnet status --json | jq '.worker.subscriptions[] | select(.state != \"open\") | .name'")]
pub(crate) struct Args {
    /// Go on showing it: on a terminal as a page that renews itself, else as one table after the other
    #[arg(long)]
    watch: bool,
    /// With --watch: time between two looks
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Print a JSON object a look: `worker` is null where none runs, and `files` then says what the files tell
    #[arg(long)]
    json: bool,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = crate::config::read_duration(text)?;
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    if bounds.contains(&interval) { Ok(interval) } else { Err("is from 100ms to 1h".into()) }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match (args.watch, args.json) {
        (true, _) => watch::run(&args, context).await,
        (false, true) => print_json(context).await,
        (false, false) => print(context).await,
    }
}

async fn look(context: &Context) -> Result<Status, Error> {
    client::status(&context.config.data_dir).await
}

async fn print(context: &Context) -> anyhow::Result<()> {
    let before = match look(context).await {
        Ok(before) => before,
        Err(error @ Error::NoWorker(_)) => {
            files::Files::read(context)?.print(context.paint)?;
            return Err(error.into());
        }
        Err(error) => return Err(error.into()),
    };
    tokio::time::sleep(GLANCE).await;
    let view = View::between(Some(&before), &look(context).await?);
    output::print(&view.render(context.paint))
}

async fn print_json(context: &Context) -> anyhow::Result<()> {
    match look(context).await {
        Ok(status) => output::json(&json!({ "worker": status })),
        Err(error @ Error::NoWorker(_)) => {
            output::json(&json!({ "worker": null, "files": files::Files::read(context)?.json() }))?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}
