//! `decnet delivery list`.

use std::num::NonZeroUsize;

use decnet_core::delivery::State;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{Error, Filter, Listed, Reader, StateFilter};
use serde_json::{Value, json};

use super::standing::{Active, Standing};
use crate::commands::since::since;
use crate::context::Context;
use crate::output::{self, Table, printable};

/// Deliveries looked at in one go.
const PAGE: usize = 500;

/// Lists the newest deliveries.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet delivery list
  decnet delivery list --subscription siem --state parked
  decnet delivery list --state dead --since 2h --topic 'attacker.>' --json
  decnet delivery list --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d")]
pub(super) struct Args {
    /// Only in this state
    #[arg(long)]
    state: Option<Standing>,
    /// Only of this subscription: its name or UUID
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// Only of events whose topic matches
    #[arg(long, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text))]
    topic: Option<Pattern>,
    /// Only since then: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<UnixMicros>,
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
    let active = Active::read(&context.config);
    let found = match Reader::open(&context.config.data_dir) {
        Ok(reader) => find(args, &reader, &active)?,
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
        Some(name) => format!("no delivery matches, and no subscription is called `{}`", printable(name)),
        None => "no delivery matches".into(),
    }
}

/// The newest that the arguments describe, of every stored state that theirs may be.
fn find(args: &Args, reader: &Reader, active: &Active) -> anyhow::Result<Vec<Listed>> {
    let states: Vec<Option<StateFilter>> = match args.state {
        Some(standing) => standing.stored().iter().copied().map(Some).collect(),
        None => vec![None],
    };
    let mut found = Vec::new();
    for state in states {
        found.extend(find_stored(args, state, reader, active)?);
    }
    found.sort_unstable_by_key(|listed| std::cmp::Reverse(listed.id));
    found.truncate(args.limit.get());
    Ok(found)
}

fn find_stored(
    args: &Args,
    state: Option<StateFilter>,
    reader: &Reader,
    active: &Active,
) -> anyhow::Result<Vec<Listed>> {
    let mut filter = Filter {
        subscription: args.subscription.clone(),
        state,
        topic: args.topic.clone(),
        since: args.since,
        event_id: args.event_id.clone(),
        limit: Some(PAGE.min(args.limit.get())),
        before: None,
    };
    let wanted = |listed: &Listed| args.state.is_none_or(|state| active.standing(listed) == state);
    let mut found = Vec::new();
    while found.len() < args.limit.get() {
        let page = reader.list(&filter)?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.id);
        found.extend(page.into_iter().filter(wanted));
    }
    found.truncate(args.limit.get());
    Ok(found)
}

/// Its state, and the reason of a dead one.
pub(super) fn state(listed: &Listed, active: &Active) -> String {
    let standing = active.standing(listed).as_str();
    match listed.state {
        State::Dead { reason } => format!("{standing} ({reason})"),
        State::Pending | State::Retrying { .. } | State::Delivered => standing.into(),
    }
}

/// As JSON, times in ISO 8601.
pub(super) fn json(listed: &Listed, active: &Active) -> Value {
    let (due_at, reason) = match listed.state {
        State::Retrying { due_at } => (Some(due_at.to_iso8601()), None),
        State::Dead { reason } => (None, Some(reason.as_str())),
        State::Pending | State::Delivered => (None, None),
    };
    json!({
        "id": listed.id.to_string(),
        "state": active.standing(listed).as_str(),
        "reason": reason,
        "due_at": due_at,
        "subscription": {"uuid": listed.subscription_uuid, "name": listed.subscription_name},
        "topic": listed.topic,
        "event_id": listed.event_id,
        "attempts": listed.attempts,
        "admitted_at": listed.admitted_at.to_iso8601(),
        "settled_at": listed.settled_at.map(UnixMicros::to_iso8601),
    })
}
