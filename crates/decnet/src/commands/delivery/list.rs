//! `decnet delivery list`.

use std::num::NonZeroUsize;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use decnet_core::delivery::{DeliveryStatus, State};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{ActiveSubscriptions, Error, Filter, Listed};
use serde_json::{Value, json};

use super::active_subscriptions;
use super::filter_args::FilterArgs;
use crate::commands::shared::times::when;
use crate::context::Context;
use crate::output::{self, Table};
use crate::receiver::now;
use crate::store::queue_if_exists;

/// Lists the newest deliveries.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet delivery list
  decnet delivery list --subscription siem --state parked
  decnet delivery list --state dead --since 2h --topic 'attacker.>' --json
  decnet delivery list --reason timeout --since 1d --until 12h
  decnet delivery list --status 5xx --status none --state retrying
  decnet delivery list --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d")]
pub(crate) struct Args {
    /// Only deliveries in this state; may be given several times
    #[arg(long, value_parser = states())]
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

/// Returns a parser whose values have descriptions.
fn states() -> impl TypedValueParser<Value = DeliveryStatus> {
    let value = |status: DeliveryStatus| {
        PossibleValue::new(status.as_str()).help(match status {
            DeliveryStatus::Pending => "Not yet attempted",
            DeliveryStatus::Retrying => "Waiting for the next attempt",
            DeliveryStatus::Parked => "Waiting for the subscription to be enabled, resumed or to recover",
            DeliveryStatus::Delivered => "Answered with a 2xx status",
            DeliveryStatus::Dead => "Not delivered and not retried",
        })
    };
    PossibleValuesParser::new(DeliveryStatus::ALL.map(value)).try_map(|text| text.parse::<DeliveryStatus>())
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<()> {
    let active = active_subscriptions(&context.config);
    let filter = Filter {
        statuses: args.state.clone(),
        event_id: args.event_id.clone(),
        limit: Some(args.limit.get()),
        ..args.filter.filter(&active)
    };
    let Some(reader) = queue_if_exists(&context.config)? else {
        output::note(&format!("decnet: {}", Error::NoQueue(context.config.data_dir.clone())));
        return if args.json { output::json(&[(); 0]) } else { Ok(()) };
    };
    let found = reader.list(&filter)?;
    if args.json {
        return output::json(&found.iter().map(|listed| json(listed, &active)).collect::<Vec<_>>());
    }
    if found.is_empty() {
        output::note(&no_match(args.filter.subscription.as_deref(), &active));
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
    let state = active.status(listed).as_str();
    reason(listed, active).map_or_else(|| state.into(), |reason| format!("{state} ({reason})"))
}

/// Returns the reason why a delivery is dead or parked.
fn reason(listed: &Listed, active: &ActiveSubscriptions) -> Option<&'static str> {
    match listed.state {
        State::Dead { reason } => Some(reason.as_str()),
        State::Pending | State::Retrying { .. } | State::Delivered => active.parked_by(listed),
    }
}

/// Returns the time at which the next attempt is due, if the delivery has failed and is retried.
pub(super) fn due_at(listed: &Listed) -> Option<UnixMicros> {
    if let State::Retrying { due_at } = listed.state { Some(due_at) } else { None }
}

/// Formats a delivery as JSON, with times in ISO 8601.
pub(super) fn json(listed: &Listed, active: &ActiveSubscriptions) -> Value {
    json!({
        "id": listed.id.to_string(),
        "state": active.status(listed).as_str(),
        "reason": reason(listed, active),
        "due_at": due_at(listed),
        "deferred_until": active.deferred_until(listed, now()),
        "subscription": {"uuid": listed.subscription_uuid, "name": listed.subscription_name},
        "topic": listed.topic,
        "event_id": listed.event_id,
        "attempts": listed.attempts,
        "admitted_at": listed.admitted_at,
        "settled_at": listed.settled_at,
    })
}
