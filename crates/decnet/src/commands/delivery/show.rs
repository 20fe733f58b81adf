//! `decnet delivery show`.

use std::time::Duration;

use decnet_core::delivery::{DeliveryStatus, Reason};
use decnet_core::text::escape_json;
use decnet_store::queue::{ActiveSubscriptions, Attempt, DeliveryId, Detail, Reader};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{active_subscriptions, list};
use crate::context::Context;
use crate::json_text;
use crate::output::{self, Paint, Table, Text};
use crate::receiver::now;

/// Shows one delivery: the event's body, and every attempt with its reply.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet delivery show 1042.0
  decnet delivery show 1042.0 --json | jq .body")]
pub(crate) struct Args {
    /// The id of the delivery, as shown by `decnet delivery list`
    id: DeliveryId,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let found = Reader::open(&context.config.data_dir)?.get(args.id)?;
    let Some(detail) = found else {
        anyhow::bail!(
            "there is no delivery {}; it may have been removed because of its age or the size of the queue",
            args.id
        );
    };
    let active = active_subscriptions(&context.config);
    if args.json {
        return output::json(&json(&detail, &active));
    }
    output::print(&human(&detail, &active, context.paint))
}

/// A delivery as `--json` prints it.
#[derive(Serialize)]
struct Json {
    #[serde(flatten)]
    listed: Value,
    /// The body as it is sent; null if it was erased.
    body: Option<Box<RawValue>>,
    tries: Vec<Value>,
}

fn json(detail: &Detail, active: &ActiveSubscriptions) -> Json {
    Json {
        listed: list::json(&detail.listed, active),
        body: json_text::compact(&detail.body),
        tries: detail.attempts.iter().map(attempt).collect(),
    }
}

fn attempt(attempt: &Attempt) -> Value {
    json!({
        "number": attempt.number,
        "started_at": attempt.started_at,
        "duration_ms": attempt.duration.as_secs_f64() * 1e3,
        "timings_ms": {
            "resolve": millis(attempt.timings.resolve),
            "connect": millis(attempt.timings.connect),
            "tls": millis(attempt.timings.tls),
            "first_byte": millis(attempt.timings.first_byte),
        },
        "status": attempt.status,
        "reason": attempt.reason.map(Reason::as_str),
        "detail": attempt.detail,
        "repeats": attempt.repeats,
        "reply": String::from_utf8_lossy(&attempt.reply),
    })
}

fn millis(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| duration.as_secs_f64() * 1e3)
}

fn human(detail: &Detail, active: &ActiveSubscriptions, paint: Paint) -> Text {
    let Detail { listed, body, attempts } = detail;
    let fields = [
        ("id", listed.id.to_string()),
        ("state", list::state(listed, active)),
        ("subscription", format!("{} ({})", listed.subscription_name, listed.subscription_uuid)),
        ("topic", listed.topic.to_string()),
        ("event", listed.event_id.to_string()),
        ("admitted", listed.admitted_at.to_sqlite()),
    ];
    let mut text = Text::default();
    // A parked delivery has no next attempt.
    let is_parked = active.status(listed) == DeliveryStatus::Parked;
    let next_try = list::due_at(listed).filter(|_| !is_parked).map(|at| ("next try", at.to_sqlite()));
    let deferred = active.deferred_until(listed, now()).map(|until| {
        let until = until.to_sqlite();
        ("deferred", format!("until {until}, as requested by the receiver (Retry-After)"))
    });
    for (name, value) in fields.into_iter().chain(next_try).chain(deferred) {
        text.field(paint, name, &value);
    }
    text.end_line();
    text.line(&*escape_json(&String::from_utf8_lossy(body)));
    if !attempts.is_empty() {
        text.end_line();
        let headings = ["TRY", "AT", "TOOK", "STATUS", "REASON", "REPLY"];
        text += Table::new(headings, attempts.iter().map(tried)).render(paint);
    }
    text
}

fn tried(attempt: &Attempt) -> [String; 6] {
    [
        attempt.number.to_string(),
        attempt.started_at.to_sqlite(),
        format!("{:.1} ms", attempt.duration.as_secs_f64() * 1e3),
        attempt.status.map_or_else(|| "-".into(), |status| status.to_string()),
        remarks(attempt),
        String::from_utf8_lossy(&attempt.reply).chars().take(200).collect(),
    ]
}

/// Returns the reason for a failed attempt, and how often the request was sent if more than once.
fn remarks(attempt: &Attempt) -> String {
    let reason = attempt.reason.map(Reason::as_str);
    let mut remarks =
        [reason, attempt.detail.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    if attempt.repeats > 0 {
        remarks += if remarks.is_empty() { "" } else { "; " };
        remarks += &format!("sent {} times within the attempt", attempt.repeats + 1);
    }
    remarks
}
