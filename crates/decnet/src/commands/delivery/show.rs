//! `decnet delivery show`.

use std::time::Duration;

use decnet_core::delivery::{Reason, Standing, State};
use decnet_core::text::escape_json;
use decnet_store::queue::{Active, Attempt, DeliveryId, Detail, Listed, Reader};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::list;
use super::standing::active;
use crate::context::Context;
use crate::json_text;
use crate::output::{self, Paint, Table, Text};
use crate::receiver::now;

/// Shows one delivery: its event's body, every attempt, and what came back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet delivery show 1042.0
  decnet delivery show 1042.0 --json | jq .body")]
pub(super) struct Args {
    /// Its id, as `decnet delivery list` shows it
    id: DeliveryId,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let found = Reader::open(&context.config.data_dir)?.get(args.id)?;
    let Some(detail) = found else {
        anyhow::bail!("there is no delivery {}; it may have been removed by age or size", args.id);
    };
    let active = active(&context.config);
    if args.json {
        return output::json(&whole(&detail, &active));
    }
    output::print(&human(&detail, &active, context.paint))
}

/// A delivery as `--json` shows it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    listed: Value,
    /// As it is sent; null if it was erased.
    body: Option<Box<RawValue>>,
    tries: Vec<Value>,
}

fn whole(detail: &Detail, active: &Active) -> Whole {
    Whole {
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

fn human(detail: &Detail, active: &Active, paint: Paint) -> Text {
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
    text += &*escape_json(&String::from_utf8_lossy(body));
    text.end_line();
    if !attempts.is_empty() {
        text.end_line();
        text += tries(attempts).render(paint);
    }
    text
}

/// When a delivery that waits for a retry is due; a parked one waits for its subscription besides.
fn next_try(listed: &Listed, active: &Active) -> Option<(&'static str, String)> {
    let State::Retrying { due_at } = listed.state else { return None };
    let is_parked = active.standing(listed) == Standing::Parked;
    (!is_parked).then(|| ("next try", due_at.to_sqlite()))
}

/// Until when it waits, whenever it is due, since its receiver has asked to be sent nothing.
fn deferred(listed: &Listed, active: &Active) -> Option<(&'static str, String)> {
    let until = active.deferred_until(listed, now())?;
    Some(("deferred", format!("until {}: the receiver asked for it (Retry-After)", until.to_sqlite())))
}

fn tries(attempts: &[Attempt]) -> Table {
    let mut table = Table::new(&["TRY", "AT", "TOOK", "STATUS", "REASON", "REPLY"]);
    for attempt in attempts {
        table.row([
            attempt.number.to_string(),
            attempt.started_at.to_sqlite(),
            format!("{:.1} ms", attempt.duration.as_secs_f64() * 1e3),
            attempt.status.map_or_else(|| "-".into(), |status| status.to_string()),
            remarks(attempt),
            String::from_utf8_lossy(&attempt.reply).chars().take(200).collect(),
        ]);
    }
    table
}

/// Why an attempt did not deliver, and what else there is to say about it.
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
