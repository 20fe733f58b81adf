//! `decnet delivery redeliver`: new deliveries of old events, behind live traffic and not all at once.

use std::time::Duration;

use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{DeliveryId, Error, Filter, Operator, Reader, StateFilter};
use serde_json::json;
use tokio::time::Instant;

use super::list::nothing;
use super::standing::Active;
use crate::commands::link;
use crate::commands::progress::Progress;
use crate::commands::since::since;
use crate::context::Context;
use crate::output;

/// Deliveries made in one transaction, each as short as the worker's own.
const BATCH: usize = 200;
/// Deliveries looked at in one go.
const PAGE: usize = 1000;
/// Time between two words to the worker that there is something new.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);

/// Delivers old events again: a new delivery of the same event, with the same webhook-id.
///
/// Names deliveries by id, or chooses among those that are final: dead ones with --dead, delivered ones too
/// without it. Receivers that were to get an event once may get it again: they can tell by its id.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  decnet delivery redeliver 1042.0 1043.1
  decnet delivery redeliver --dead --subscription siem --dry-run
  decnet delivery redeliver --since 2h --subscription siem --topic 'attacker.>'",
    group = clap::ArgGroup::new("which").required(true).multiple(true)
)]
pub(super) struct Args {
    /// Their ids, as `decnet delivery list` shows them
    #[arg(value_name = "ID", group = "which", conflicts_with_all = ["dead", "since", "subscription", "topic"])]
    ids: Vec<DeliveryId>,
    /// Only dead ones
    #[arg(long, group = "which")]
    dead: bool,
    /// Only since then: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since, group = "which")]
    since: Option<UnixMicros>,
    /// Only of this subscription: its name or UUID
    #[arg(long, value_name = "NAME", group = "which")]
    subscription: Option<String>,
    /// Only of events whose topic matches
    #[arg(long, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text), group = "which")]
    topic: Option<Pattern>,
    /// Say how many it would be, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// At most this many a second
    #[arg(long, value_name = "R", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let reader = Reader::open(&context.config.data_dir)?;
    let chosen = if args.ids.is_empty() { choose(&args, &reader)? } else { known(&args.ids, &reader)? };
    let made = if args.dry_run { Vec::new() } else { redeliver(&args, &chosen, context).await? };
    if args.json {
        let (chosen, made) = (chosen.len(), made.len());
        return output::json(&json!({"chosen": chosen, "redelivered": made, "dry_run": args.dry_run}));
    }
    if chosen.is_empty() {
        let active = Active::read(&context.config);
        output::say(&nothing(args.subscription.as_deref(), &active));
        return Ok(());
    }
    output::line(&told(&args, &chosen, &made))
}

/// How many, and where the new ones are to be found.
fn told(args: &Args, chosen: &[DeliveryId], made: &[DeliveryId]) -> String {
    let counted = |ids: &[DeliveryId]| output::counted(ids.len() as u64, "new delivery", "new deliveries");
    match made {
        _ if args.dry_run => format!("{} would be made", counted(chosen)),
        [] => format!("{} made", counted(made)),
        [one] => format!("{} made: {one}", counted(made)),
        [first, .., last] => format!("{} made, {first} to {last}", counted(made)),
    }
}

/// The deliveries that were named, all of which are there.
fn known(ids: &[DeliveryId], reader: &Reader) -> anyhow::Result<Vec<DeliveryId>> {
    for id in ids {
        reader.get(*id)?.ok_or(Error::UnknownDelivery(*id))?;
    }
    Ok(ids.to_vec())
}

/// The final deliveries that the arguments describe, oldest first, so that they go out in their order.
fn choose(args: &Args, reader: &Reader) -> anyhow::Result<Vec<DeliveryId>> {
    let states: &[_] =
        if args.dead { &[StateFilter::Dead] } else { &[StateFilter::Dead, StateFilter::Delivered] };
    let mut chosen = Vec::new();
    for state in states {
        let mut filter = Filter {
            subscription: args.subscription.clone(),
            state: Some(*state),
            topic: args.topic.clone(),
            since: args.since,
            limit: Some(PAGE),
            ..Filter::default()
        };
        while let page = reader.list(&filter)?
            && let Some(last) = page.last()
        {
            filter.before = Some(last.id);
            chosen.extend(page.iter().map(|listed| listed.id));
        }
    }
    chosen.sort_unstable();
    Ok(chosen)
}

/// Makes them in small batches, and tells the worker now and then; which, if it is interrupted too.
async fn redeliver(args: &Args, chosen: &[DeliveryId], context: &Context) -> anyhow::Result<Vec<DeliveryId>> {
    let mut operator = Operator::open(&context.config.data_dir)?;
    let progress = Progress::new(Some(chosen.len() as u64), "deliveries");
    let (started, mut made) = (Instant::now(), Vec::with_capacity(chosen.len()));
    let mut told_at = started;
    for batch in chosen.chunks(BATCH) {
        let due = started + Duration::from_secs_f64(made.len() as f64 / f64::from(args.rate));
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = context.shutdown.cancelled() => break,
        }
        made.extend(operator.redeliver(batch)?);
        progress.set_position(made.len() as u64);
        if told_at.elapsed() >= SIGNAL_INTERVAL {
            told_at = Instant::now();
            link::signal_change(&context.config).await;
        }
    }
    progress.finish();
    link::signal_change(&context.config).await;
    Ok(made)
}
