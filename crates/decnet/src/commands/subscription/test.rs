//! `decnet subscription test`: sends one test event, or an event of the queue.

use anyhow::Context as _;
use decnet_api::Tested;
use decnet_store::catalog::StoredSubscription;
use serde_json::json;

use super::Target;
use crate::commands::shared::event_args;
use crate::commands::shared::test_event::{SentTest, ping, send, tested};
use crate::context::Context;
use crate::failure::Exit;
use crate::output;
use crate::store::open_existing;

/// The value of `triggered_by` in the payload.
const COMMAND: &str = "decnet subscription test";

/// Sends one test event to a subscription, without retries, and reports the result.
///
/// The event has topic test.ping and type test; with --event-id it is an event of the queue, regardless of filter and
/// minimum severity. The attempt is not stored in the queue and does not affect the subscription's health.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription test siem
  decnet subscription test siem --json
  decnet subscription test soc --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d")]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// Send this event of the queue: its id, which receivers get in webhook-id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let stored = find(&args.target.name, context)?;
    let event = match &args.event_id {
        Some(id) => event_args::stored(id, &context.config)?,
        None => ping(COMMAND)?,
    };
    let SentTest { attempted, verdict, .. } = send(&stored, &event, &context.config).await?;
    let millis = attempted.duration.as_secs_f64() * 1e3;
    let Tested { delivered, status_code, error } = tested(&attempted, &verdict);
    if args.target.json {
        output::json(&json!({
            "delivered": delivered, "status_code": status_code, "error": error, "duration_ms": millis
        }))?;
    } else {
        let paint = context.paint;
        let mut text = if delivered { paint.good("delivered") } else { paint.bad("NOT DELIVERED") };
        let status = status_code.map_or(String::new(), |status| format!(", status {status}"));
        let error = error.map_or(String::new(), |error| format!(": {error}"));
        text.line(format!("{status}, {millis:.0} ms{error}"));
        output::print(&text)?;
    }
    if delivered { Ok(()) } else { Err(Exit::FAILURE.into()) }
}

/// Returns a subscription to which requests can be sent.
///
/// # Errors
/// There is no such subscription, or its row is not valid.
pub(super) fn find(name: &str, context: &Context) -> anyhow::Result<StoredSubscription> {
    let mut catalog = open_existing(&context.config)?;
    let row = catalog.find(name)?;
    if let Some(problem) = row.problem {
        anyhow::bail!("cannot send to `{}`: {problem}", row.name);
    }
    let mut stored = catalog.load()?.subscriptions.into_iter();
    let found = stored.find(|stored| *stored.subscription.uuid == *row.uuid);
    found.with_context(|| format!("`{}` was deleted in the meantime", row.name))
}
