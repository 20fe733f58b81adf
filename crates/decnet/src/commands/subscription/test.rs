//! `decnet subscription test`.

use anyhow::Context as _;
use decnet_core::delivery::{Outcome, Reason, Verdict, classify};
use decnet_core::event::Event;
use decnet_core::settings::Batch;
use decnet_dispatch::sender::{self, Attempted, Guard, Message, Sender, Target};
use decnet_store::catalog::Stored;
use serde_json::json;
use tokio::task::LocalSet;
use uuid::Uuid;

use super::existing;
use crate::config::Config;
use crate::context::Context;
use crate::failure::Said;
use crate::output::{self, Text};
use crate::receiver::now;

const TOPIC: &str = "test.ping";
const TYPE: &str = "test";
/// Who asks here, as a receiver is told.
const COMMAND: &str = "decnet subscription test";

/// Sends one test event to a subscription, once, and says what came of it.
///
/// Topic test.ping, type test. It counts for nothing: neither the queue nor the subscription's health sees it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription test siem
  decnet subscription test siem --json")]
pub(super) struct Args {
    /// Its name or UUID
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let attempted = ping(&find(&args.name, context)?, COMMAND, &context.config).await?;
    let delivered = classify(&attempted.outcome) == Verdict::Delivered;
    let (status, error) = told(&attempted);
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

/// Sends a test event to a subscription, once. The payload has the members that DECNET's has.
pub(crate) async fn ping(stored: &Stored, triggered_by: &str, config: &Config) -> anyhow::Result<Attempted> {
    let target = Target::of(stored)?;
    let at = now();
    let payload = json!({"message": "a test of this subscription", "triggered_by": triggered_by}).to_string();
    let event = Event::new(&Uuid::new_v4().to_string(), TOPIC, TYPE, at, &payload)?;
    // Who gets batches is sent a batch of one.
    let unite = |batch: Batch| (batch.format().unite([&event].into_iter()), batch.format().content_type());
    let batch = stored.settings.batch.map(unite);
    let message = match &batch {
        Some((event, content_type)) => Message { content_type, ..event.into() },
        None => (&event).into(),
    };
    attempt(&target, message, config).await
}

fn find(name: &str, context: &Context) -> anyhow::Result<Stored> {
    let mut catalog = existing(context)?;
    let row = catalog.find(name)?;
    if let Some(problem) = row.problem {
        anyhow::bail!("nothing can be sent to `{}`: {problem}", row.name);
    }
    let mut stored = catalog.load()?.subscriptions.into_iter();
    let found = stored.find(|stored| *stored.subscription.uuid == *row.uuid);
    found.with_context(|| format!("`{}` was deleted meanwhile", row.name))
}

/// One attempt, with what is configured here.
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

/// The status, and what went wrong if anything did.
pub(crate) fn told(attempted: &Attempted) -> (Option<u16>, Option<String>) {
    let detail = attempted.detail.as_deref().map(str::to_owned);
    match attempted.outcome {
        Outcome::Replied { status, .. } => (Some(status), detail),
        Outcome::Failed(Reason::Forbidden) => {
            let detail = detail.unwrap_or_else(|| Reason::Forbidden.to_string());
            (None, Some(format!("{detail}. That is the configuration here; the worker's may differ")))
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
