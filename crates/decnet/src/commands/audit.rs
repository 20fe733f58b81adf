//! `decnet audit`: shows who changed what.

use std::num::NonZeroU32;

use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Actor, AuditEntry, AuditFilter, FieldChange};

use super::shared::times::{since, when};
use crate::context::Context;
use crate::output::{self, Table};
use crate::store::read_if_exists;

/// Shows who changed which subscription, token or key, newest first.
///
/// Changes over the API have the name of their token, changes with `decnet` the uid of the user who ran it. Changes that DECNET
/// makes itself are not listed. Secrets are not part of the list, and of a URL only scheme, host and port.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet audit
  decnet audit --subscription siem --since 7d
  decnet audit --actor ci --json")]
pub(crate) struct Args {
    /// Only changes by this actor: the name or id of a token, the name of a user of DECNET, or a uid
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only changes of this subscription: its UUID, or its name at the time of the change
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// Only changes since then: an age such as 2h or 7d, or a time such as 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<UnixMicros>,
    /// The maximum number of changes
    #[arg(long, value_name = "N", default_value = "50")]
    limit: NonZeroU32,
    /// Print a JSON list
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Args { actor, subscription, since, limit, json } = args;
    let filter = AuditFilter { before: None, since, actor, subscription, limit: limit.get() };
    let entries = read_if_exists(&context.config, |catalog| catalog.audit(&filter))?.unwrap_or_default();
    if json {
        return output::json(&entries);
    }
    if entries.is_empty() {
        output::note("no change matches");
        return Ok(());
    }
    let row = |entry: AuditEntry| {
        let AuditEntry { at, actor, action, object, changes, .. } = entry;
        let changes = changes.iter().map(describe).collect::<Vec<_>>().join(", ");
        [when(at), who(actor), action.into(), format!("{} {}", object.kind, object.name), changes]
    };
    Table::new(["AT", "BY", "ACTION", "OBJECT", "CHANGES"], entries.into_iter().map(row)).print(context.paint)
}

fn who(actor: Actor) -> String {
    let Actor { kind, id, name } = actor;
    match (&*kind, &*name) {
        ("local_user", "") => format!("uid {id}"),
        ("local_user", name) => format!("uid {id} ({name})"),
        (kind, name) => format!("{kind} {name}"),
    }
}

fn describe(change: &FieldChange) -> String {
    match (&change.from, &change.to) {
        (None, None) => change.field.clone(),
        (None, Some(to)) => format!("{} = {to}", change.field),
        (Some(from), None) => format!("{} was {from}", change.field),
        (Some(from), Some(to)) => format!("{} {from} -> {to}", change.field),
    }
}
