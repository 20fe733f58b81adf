//! `decnet delivery list`.

use std::num::NonZeroUsize;

use decnet_core::delivery::{Reason, Standing, State};
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{Active, Error, Filter, Listed, Reader};
use serde_json::{Value, json};

use super::standing::{active, parser};
use crate::commands::since::since;
use crate::context::Context;
use crate::output::{self, Table};
use crate::receiver::now;

/// Lists the newest deliveries.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet delivery list
  decnet delivery list --subscription siem --state parked
  decnet delivery list --state dead --since 2h --topic 'attacker.>' --json
  decnet delivery list --reason timeout --since 1d --until 12h
  decnet delivery list --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d")]
pub(super) struct Args {
    /// Only in this state; may be given several times
    #[arg(long, value_parser = parser())]
    state: Vec<Standing>,
    /// Only dead ones, for this reason: timeout, server_error, refused, ...
    #[arg(long)]
    reason: Option<Reason>,
    /// Only of this subscription: its name or UUID
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// Only of events whose topic matches
    #[arg(long, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text))]
    topic: Option<Pattern>,
    /// Only since then: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<UnixMicros>,
    /// Only before then, written in the same way
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<UnixMicros>,
    /// Only of the event with this id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let active = active(&context.config);
    let found = match Reader::open(&context.config.data_dir) {
        Ok(reader) => reader.list(&filter(args, &active))?,
        Err(error @ Error::NoQueue { .. }) => {
            output::say(&format!("decnet: {error}"));
            return if args.json { output::json(&[(); 0]) } else { Ok(()) };
        }
        Err(error) => return Err(error.into()),
    };
    if args.json {
        return output::json(&found.iter().map(|listed| json(listed, &active)).collect::<Vec<_>>());
    }
    if found.is_empty() {
        output::say(&nothing(args.subscription.as_deref(), &active));
        return Ok(());
    }
    let mut table = Table::new(&["ID", "STATE", "SUBSCRIPTION", "TOPIC", "TRIES", "ADMITTED", "EVENT"]);
    for listed in &found {
        table.row([
            listed.id.to_string(),
            state(listed, &active),
            listed.subscription_name.to_string(),
            listed.topic.to_string(),
            listed.attempts.to_string(),
            listed.admitted_at.to_sqlite().chars().take(19).collect(),
            listed.event_id.to_string(),
        ]);
    }
    table.print(context.paint)
}

/// Why nothing is listed. A subscription that is gone may still have deliveries, so a name that is unknown is no
/// error by itself.
pub(super) fn nothing(subscription: Option<&str>, active: &Active) -> String {
    match subscription.filter(|name| !active.knows(name)) {
        Some(name) => format!("no delivery matches, and no subscription is called `{name}`"),
        None => "no delivery matches".into(),
    }
}

/// What the arguments describe.
fn filter(args: &Args, active: &Active) -> Filter {
    Filter {
        subscription: args.subscription.clone(),
        standings: args.state.clone(),
        active: active.clone(),
        reason: args.reason,
        topic: args.topic.clone(),
        since: args.since,
        until: args.until,
        event_id: args.event_id.clone(),
        limit: Some(args.limit.get()),
        before: None,
    }
}

/// Its state, and the reason of a dead or parked one.
pub(super) fn state(listed: &Listed, active: &Active) -> String {
    let standing = active.standing(listed).as_str();
    let reason = match listed.state {
        State::Dead { reason } => Some(reason.as_str()),
        State::Pending | State::Retrying { .. } | State::Delivered => active.parked_by(listed),
    };
    reason.map_or_else(|| standing.into(), |reason| format!("{standing} ({reason})"))
}

/// As JSON, times in ISO 8601.
pub(super) fn json(listed: &Listed, active: &Active) -> Value {
    let (due_at, reason) = match listed.state {
        State::Retrying { due_at } => (Some(due_at.to_iso8601()), active.parked_by(listed)),
        State::Dead { reason } => (None, Some(reason.as_str())),
        State::Pending | State::Delivered => (None, active.parked_by(listed)),
    };
    json!({
        "id": listed.id.to_string(),
        "state": active.standing(listed).as_str(),
        "reason": reason,
        "due_at": due_at,
        "deferred_until": active.deferred_until(listed, now()).map(UnixMicros::to_iso8601),
        "subscription": {"uuid": listed.subscription_uuid, "name": listed.subscription_name},
        "topic": listed.topic,
        "event_id": listed.event_id,
        "attempts": listed.attempts,
        "admitted_at": listed.admitted_at.to_iso8601(),
        "settled_at": listed.settled_at.map(UnixMicros::to_iso8601),
    })
}
