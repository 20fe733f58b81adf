//! `decnet subscription try`: shows what would be sent to a subscription for an event. Sends nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use decnet_core::event::Event;
use decnet_store::delivery_rules::DeliveryRules;
use serde_json::{Value, json};

use super::test::find;
use crate::commands::shared::event_args;
use crate::commands::shared::test_event::render_context;
use crate::commands::shared::trial::{Trial, TrialRequest};
use crate::context::Context;
use crate::failure::Exit;
use crate::output::{self, Paint, Text};

/// Shows whether an event would be delivered to a subscription, and the request. Sends nothing.
///
/// Patterns, severity, filter, format and template are applied as the worker applies them. The request is printed with its
/// headers and its exact body. The path of the URL, credentials and the values of the subscription's own headers are hidden.
/// The exit code is 1 if the event would not be delivered.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  decnet subscription try soc --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d
  decnet subscription try soc --event @event.json
  decnet subscription try soc --topic credential.captured --event '{\"user\":\"root\"}'",
    group = clap::ArgGroup::new("which").required(true)
)]
pub(crate) struct Args {
    /// The name or UUID of the subscription
    name: String,
    /// An event of the queue: its id, which receivers get in webhook-id
    #[arg(long, value_name = "ID", group = "which")]
    event_id: Option<String>,
    /// An event as JSON, as receivers get it, or only its payload; @FILE reads it from a file
    #[arg(long, value_name = "JSON", group = "which")]
    event: Option<String>,
    /// The topic of the event, unless the JSON has one
    #[arg(long, conflicts_with = "event_id", value_parser = event_args::topic)]
    topic: Option<String>,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let stored = find(&args.name, context)?;
    let event = match (&args.event_id, &args.event) {
        (Some(id), _) => event_args::stored(id, &context.config)?,
        (None, text) => event_args::given(text.as_deref().unwrap_or_default(), args.topic.as_deref())?,
    };
    let rendering = render_context(&context.config).map_err(anyhow::Error::msg)?;
    let rules = DeliveryRules::new(&stored.settings, &rendering.severities)?;
    let trial = Trial::new(&stored, &rules, &event, &rendering);
    if args.json {
        output::json(&json(&trial, &event))?;
    } else {
        print(&trial, &event, context.paint)?;
    }
    if trial.is_delivered { Ok(()) } else { Err(Exit::FAILURE.into()) }
}

fn json(trial: &Trial, event: &Event) -> Value {
    let mut value = json!({
        "event_id": event.id,
        "topic": event.topic,
        "severity": trial.severity,
        "delivered": trial.is_delivered,
        "reason": trial.reason,
        "request": null,
    });
    if let Some(TrialRequest { head, body, .. }) = &trial.request {
        let headers: Vec<_> = head.headers.iter().map(|(name, value)| [name, value]).collect();
        let text = std::str::from_utf8(body).ok();
        value["request"] = json!({
            "method": head.method,
            "url": head.url,
            "headers": headers,
            "body": text,
            "body_base64": text.is_none().then(|| STANDARD.encode(body)),
        });
    }
    value
}

/// Prints the decision and the request. The body follows unchanged; on a terminal its hidden characters are escaped.
fn print(trial: &Trial, event: &Event, paint: Paint) -> anyhow::Result<()> {
    let mut text = Text::default();
    text.field(paint, "event", &format!("{} on {}", event.id, event.topic));
    text.field(paint, "severity", trial.severity.as_str());
    text += paint.faint(&format!("{:<13} ", "decision"));
    text += if trial.is_delivered { paint.good("delivered") } else { paint.bad("NOT DELIVERED") };
    text.line(format!(": {}", trial.reason));
    let Some(TrialRequest { head, body, uncompressed }) = &trial.request else { return output::print(&text) };
    text.end_line();
    text += paint.strong(head.method);
    text.line(format!(" {}", head.url));
    for (name, value) in &head.headers {
        text += paint.faint(&format!("{name}: "));
        text.line(value);
    }
    text.end_line();
    if uncompressed.is_some() {
        text.line(paint.faint("(compressed with gzip; this is the body before compression)"));
    }
    output::print(&text)?;
    let mut body = uncompressed.as_ref().unwrap_or(body).clone();
    if !body.ends_with(b"\n") {
        body.push(b'\n');
    }
    output::json_lines(&body)
}
