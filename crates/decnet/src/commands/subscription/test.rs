//! `decnet subscription test`: sends one test event.

use anyhow::Context as _;
use decnet_core::delivery::{Outcome, Reason, Verdict, classify};
use decnet_core::event::Event;
use decnet_core::settings::Batch;
use decnet_dispatch::sender::{self, Attempted, Guard, Message, Sender, Target};
use decnet_store::catalog::Stored;
use serde_json::json;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::open_existing;
use crate::config::Config;
use crate::context::Context;
use crate::failure::Said;
use crate::output::{self, Text};
use crate::receiver::now;

const TOPIC: &str = "test.ping";
const TYPE: &str = "test";
/// The value of `triggered_by` in the payload.
const COMMAND: &str = "decnet subscription test";

/// Sends one test event to a subscription, without retries, and reports the result.
///
/// The event has topic test.ping and type test. It is not stored in the queue and does not affect the subscription's health.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription test siem
  decnet subscription test siem --json")]
pub(super) struct Args {
    /// The name or UUID of the subscription
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let attempted = ping(&find(&args.name, context)?, COMMAND, &context.config).await?;
    let delivered = classify(&attempted.outcome) == Verdict::Delivered;
    let (status, error) = status_and_error(&attempted);
    if args.json {
        let millis = attempted.duration.as_secs_f64() * 1e3;
        output::json(
            &json!({"delivered": delivered, "status_code": status, "error": error, "duration_ms": millis}),
        )?;
    } else {
        output::print(&human(delivered, status, error.as_deref(), &attempted, context))?;
    }
    if delivered { Ok(()) } else { Err(Said.into()) }
}

/// Sends a test event to a subscription, without retries. The payload has the same members as DECNET's.
pub(crate) async fn ping(stored: &Stored, triggered_by: &str, config: &Config) -> anyhow::Result<Attempted> {
    let target = Target::of(stored)?;
    let at = now();
    let payload = json!({"message": "a test of this subscription", "triggered_by": triggered_by}).to_string();
    let event = Event::new(&Uuid::new_v4().to_string(), TOPIC, TYPE, at, &payload)?;
    // A subscription with batches gets a batch of one event.
    let unite = |batch: Batch| (batch.format().unite([&event].into_iter()), batch.format().content_type());
    let batch = stored.settings.batch.map(unite);
    let message = match &batch {
        Some((event, content_type)) => Message { content_type, ..event.into() },
        None => (&event).into(),
    };
    attempt(&target, message, config).await
}

fn find(name: &str, context: &Context) -> anyhow::Result<Stored> {
    let mut catalog = open_existing(context)?;
    let row = catalog.find(name)?;
    if let Some(problem) = row.problem {
        anyhow::bail!("cannot send to `{}`: {problem}", row.name);
    }
    let mut stored = catalog.load()?.subscriptions.into_iter();
    let found = stored.find(|stored| *stored.subscription.uuid == *row.uuid);
    found.with_context(|| format!("`{}` was deleted in the meantime", row.name))
}

/// Makes one attempt with the given configuration.
pub(crate) async fn attempt(
    target: &Target,
    message: impl Into<Message<'_>>,
    config: &Config,
) -> anyhow::Result<Attempted> {
    let guard = Guard::new(config.egress.allow_private, config.egress.allow.clone());
    let sender =
        Sender::new(sender::Options { deadline: config.delivery.timeout, guard, ..Default::default() })?;
    Ok(LocalSet::new().run_until(sender.send(target, message, now())).await)
}

/// Returns the status of the response and the error, if any.
pub(crate) fn status_and_error(attempted: &Attempted) -> (Option<u16>, Option<String>) {
    let detail = attempted.detail.as_deref().map(str::to_owned);
    match attempted.outcome {
        Outcome::Replied { status, .. } => (Some(status), detail),
        Outcome::Failed(Reason::Forbidden) => {
            let detail = detail.unwrap_or_else(|| Reason::Forbidden.to_string());
            (None, Some(format!("{detail} (by the configuration of this command; the worker's may differ)")))
        }
        Outcome::Failed(reason) => (None, Some(detail.unwrap_or_else(|| reason.to_string()))),
        Outcome::LocalFault => (None, Some(detail.unwrap_or_else(|| Reason::Internal.to_string()))),
    }
}

fn human(
    delivered: bool,
    status: Option<u16>,
    error: Option<&str>,
    attempted: &Attempted,
    context: &Context,
) -> Text {
    let mut text =
        if delivered { context.paint.good("delivered") } else { context.paint.bad("NOT DELIVERED") };
    let status = status.map_or(String::new(), |status| format!(", status {status}"));
    let error = error.map_or(String::new(), |error| format!(": {error}"));
    text += format!("{status}, {:.0} ms{error}", attempted.duration.as_secs_f64() * 1e3);
    text.end_line();
    text
}
