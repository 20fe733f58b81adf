//! `decnet status --watch`: continuous updates of the status.

use std::io::{IsTerminal as _, stdout};
use std::sync::mpsc;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use super::screen::{self, Update};
use super::view::View;
use super::{Args, fetch};
use crate::context::Context;
use crate::output;
use decnet_telemetry::status::Status;

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    if args.json || !stdout().is_terminal() { lines(args, context).await } else { page(args, context).await }
}

/// Prints the status to stdout at each tick.
async fn lines(args: &Args, context: &Context) -> anyhow::Result<()> {
    let mut ticks = ticks(args);
    let mut before: Option<Status> = None;
    while context.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let now = fetch(context).await.inspect_err(|error| output::note(&error.to_string())).ok();
        if args.json {
            output::json(&json!({ "worker": now }))?;
        } else if let Some(now) = &now {
            let mut text = View::between(before.as_ref(), now).render(context.paint);
            text.end_line();
            output::print(&text)?;
        }
        before = now;
    }
    Ok(())
}

/// Shows a page on the terminal. A thread of its own draws it and reads the keys.
async fn page(args: &Args, context: &Context) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel();
    let stop = context.shutdown.child_token();
    let token = stop.clone();
    let drawing = tokio::task::spawn_blocking(move || {
        let result = screen::run(&receiver, &token);
        token.cancel();
        result
    });
    let mut ticks = ticks(args);
    let mut before = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let update = match fetch(context).await {
            Ok(now) => {
                let view = View::between(before.as_ref(), &now);
                before = Some(now);
                Update::View(view)
            }
            Err(error) => Update::Error(error.to_string()),
        };
        // The receiver is gone if drawing has ended; its result is returned below.
        drop(sender.send(update));
    }
    Ok(drawing.await??)
}

fn ticks(args: &Args) -> tokio::time::Interval {
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
