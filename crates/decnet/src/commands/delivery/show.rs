//! `decnet delivery show`.

use std::time::Duration;

use decnet_core::delivery::{DeliveryStatus, Reason, State};
use decnet_core::text::escape_json;
use decnet_store::queue::{ActiveSubscriptions, Attempt, DeliveryId, Detail, Listed, Reader};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::list;
use super::standing::active;
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
    let active = active(&context.config);
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
        "started_at": attempt.started_at.to_iso8601(),
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
    let waits = next_try(listed, active).into_iter().chain(deferred(listed, active));
    for (name, value) in fields.into_iter().chain(waits) {
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

/// Returns the time of the next attempt, unless the delivery is parked and so has none.
fn next_try(listed: &Listed, active: &ActiveSubscriptions) -> Option<(&'static str, String)> {
    let State::Retrying { due_at } = listed.state else { return None };
    let is_parked = active.status(listed) == DeliveryStatus::Parked;
    (!is_parked).then(|| ("next try", due_at.to_sqlite()))
}

/// Returns the time until which the receiver has asked not to be sent requests.
fn deferred(listed: &Listed, active: &ActiveSubscriptions) -> Option<(&'static str, String)> {
    let until = active.deferred_until(listed, now())?;
    Some(("deferred", format!("until {}, as requested by the receiver (Retry-After)", until.to_sqlite())))
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
    let failure = [reason, attempt.detail.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(": ");
    let sends = attempt.repeats + 1;
    let repeats = (sends > 1).then(|| format!("sent {sends} times within the attempt"));
    [Some(failure).filter(|text| !text.is_empty()), repeats]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}
