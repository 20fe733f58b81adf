//! `decnet delivery list`.

use std::num::NonZeroUsize;

use decnet_core::delivery::{DeliveryStatus, State};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{ActiveSubscriptions, Error, Filter, Listed, Reader};
use serde_json::{Value, json};

use super::filter_args::FilterArgs;
use super::standing::{active, parser};
use crate::commands::shared::times::when;
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
pub(crate) struct Args {
    /// Only deliveries in this state; may be given several times
    #[arg(long, value_parser = parser())]
    state: Vec<DeliveryStatus>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Only the event with this id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// The maximum number of deliveries
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroUsize,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let active = active(&context.config);
    let filter = Filter {
        statuses: args.state.clone(),
        event_id: args.event_id.clone(),
        limit: Some(args.limit.get()),
        ..args.filter.filter(&active)
    };
    let found = match Reader::open(&context.config.data_dir) {
        Ok(reader) => reader.list(&filter)?,
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
        output::say(&no_match(args.filter.subscription.as_deref(), &active));
        return Ok(());
    }
    let row = |listed: &Listed| {
        [
            listed.id.to_string(),
            state(listed, &active),
            listed.subscription_name.to_string(),
            listed.topic.to_string(),
            listed.attempts.to_string(),
            when(listed.admitted_at),
            listed.event_id.to_string(),
        ]
    };
    let headings = ["ID", "STATE", "SUBSCRIPTION", "TOPIC", "TRIES", "ADMITTED", "EVENT"];
    Table::new(headings, found.iter().map(row)).print(context.paint)
}

/// Returns the reason why nothing matches. An unknown subscription is not an error, because deleted subscriptions may still have
/// deliveries.
pub(super) fn no_match(subscription: Option<&str>, active: &ActiveSubscriptions) -> String {
    match subscription.filter(|name| !active.contains(name)) {
        Some(name) => format!("no delivery matches, and there is no subscription `{name}`"),
        None => "no delivery matches".into(),
    }
}

/// Formats the state of a delivery, with the reason if it is dead or parked.
pub(super) fn state(listed: &Listed, active: &ActiveSubscriptions) -> String {
    let standing = active.status(listed).as_str();
    let reason = match listed.state {
        State::Dead { reason } => Some(reason.as_str()),
        State::Pending | State::Retrying { .. } | State::Delivered => active.parked_by(listed),
    };
    reason.map_or_else(|| standing.into(), |reason| format!("{standing} ({reason})"))
}

/// Formats a delivery as JSON, with times in ISO 8601.
pub(super) fn json(listed: &Listed, active: &ActiveSubscriptions) -> Value {
    let (due_at, reason) = match listed.state {
        State::Retrying { due_at } => (Some(due_at.to_iso8601()), active.parked_by(listed)),
        State::Dead { reason } => (None, Some(reason.as_str())),
        State::Pending | State::Delivered => (None, active.parked_by(listed)),
    };
    json!({
        "id": listed.id.to_string(),
        "state": active.status(listed).as_str(),
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
