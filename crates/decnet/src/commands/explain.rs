//! `decnet explain`: why an event was or was not delivered to a subscription.

use decnet_core::explain::ExplanationStep;
use decnet_store::explain::{EventQuery, ExplainedEvent, explain};
use decnet_store::severity_file;
use serde_json::json;

use crate::context::Context;
use crate::output::{self, Paint, Text};
use crate::store::{open_existing, queue_if_exists};

/// Explains why an event was or was not delivered to a subscription.
///
/// Reads the current catalog and the queue, whether or not a worker is running. Severities, minimum severity and filter are
/// evaluated as they are now. With --topic it explains how an event that arrived now would be handled.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  decnet explain siem 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d
  decnet explain siem --topic attacker.observed",
    group = clap::ArgGroup::new("what").required(true)
)]
pub(crate) struct Args {
    /// The subscription: its name or UUID
    subscription: String,
    /// The event's id, which receivers get in webhook-id
    #[arg(value_name = "EVENT_ID", group = "what")]
    event_id: Option<String>,
    /// A topic instead of an event
    #[arg(long, group = "what")]
    topic: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let row = open_existing(&context.config)?.find(&args.subscription)?;
    let reader = queue_if_exists(&context.config)?;
    let asked = match (&args.event_id, &args.topic) {
        (Some(id), _) => EventQuery::Id(id),
        (None, topic) => EventQuery::Topic(topic.as_deref().unwrap_or_default()),
    };
    let severities = severity_file::load(context.config.worker.severity_file.as_deref());
    let explained = explain(reader.as_ref(), &row, &severities, asked, || true)?;
    let ExplainedEvent { topic, delivery, steps } = explained;
    if args.json {
        return output::json(&json!({
            "subscription": {"uuid": row.uuid, "name": row.name},
            "event_id": args.event_id,
            "topic": topic,
            "delivery": delivery.map(|id| id.to_string()),
            "steps": steps,
        }));
    }
    steps.iter().try_for_each(|step| output::print(&human(step, context.paint)))
}

fn human(step: &ExplanationStep, paint: Paint) -> Text {
    let mut text = match step.passed {
        Some(true) => paint.good("yes"),
        Some(false) => paint.bad("no "),
        None => paint.doubtful("..."),
    };
    text.line(format!("  {:<9} {}", step.step, step.detail));
    text
}
