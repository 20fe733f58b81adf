//! `decnet delivery redeliver`: new deliveries of old events, rate-limited and with less priority than live traffic.

use std::num::NonZeroU32;
use std::time::Duration;

use decnet_core::delivery::{Reason, Standing};
use decnet_core::limits::MAX_REDELIVERY_RATE;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{Active, DeliveryId, Filter, Operator, Reader, Redelivery};
use serde_json::json;
use tokio::time::Instant;

use super::list::no_match;
use super::standing::{self, active};
use crate::commands::bus_client;
use crate::commands::progress::Progress;
use crate::commands::since::since;
use crate::context::Context;
use crate::failure::Said;
use crate::output;

/// The interval at which the worker is notified of new deliveries.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);

/// Redelivers old events: makes a new delivery of the same event, with the same webhook-id.
///
/// Deliveries are named by id or selected by filters. Filters select final deliveries: dead and delivered ones, or with --dead
/// only dead ones. Deliveries that are not final are skipped, and are an error if named by id: they are sent anyway. Deliveries
/// that were redelivered before are skipped, because their latest delivery counts: the same command run twice sends nothing
/// twice. Deliveries of deleted subscriptions are skipped too. Receivers may get an event again and can recognise it by its id.
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
    /// The ids of deliveries, as shown by `decnet delivery list`
    #[arg(value_name = "ID", group = "which", conflicts_with_all = ["dead", "reason", "since", "until", "subscription", "topic"])]
    ids: Vec<DeliveryId>,
    /// Only dead deliveries
    #[arg(long, group = "which")]
    dead: bool,
    /// Only dead deliveries with this reason: timeout, server_error, refused, ...
    #[arg(long, group = "which")]
    reason: Option<Reason>,
    /// Only events admitted since this time: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since, group = "which")]
    since: Option<UnixMicros>,
    /// Only events admitted before this time, in the same format
    #[arg(long, value_name = "TIME", value_parser = since, group = "which")]
    until: Option<UnixMicros>,
    /// Only deliveries of this subscription: its name or UUID
    #[arg(long, value_name = "NAME", group = "which")]
    subscription: Option<String>,
    /// Only events whose topic matches this pattern
    #[arg(long, value_name = "PATTERN", value_parser = |text: &str| Pattern::new(text), group = "which")]
    topic: Option<Pattern>,
    /// Report the number of new deliveries and make none
    #[arg(long)]
    dry_run: bool,
    /// The maximum number of new deliveries per second
    #[arg(long, value_name = "R", default_value = "1000", value_parser = rate)]
    rate: NonZeroU32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Some(mut chosen) = choose(&args, context).await? else {
        output::say("interrupted; nothing was redelivered");
        return Err(Said.into());
    };
    let made = if args.dry_run { Vec::new() } else { redeliver(&args, &mut chosen, context).await? };
    let written =
        if args.json { print_json(&args, &chosen, &made) } else { print(&args, &chosen, &made, context) };
    if made.is_empty() { written } else { output::done(&summary(&args, chosen.total(), &made), written) }
}

fn print_json(args: &Args, chosen: &Redelivery, made: &[DeliveryId]) -> anyhow::Result<()> {
    output::json(&json!({
        "chosen": chosen.total(),
        "redelivered": made.len(),
        "skipped_not_final": chosen.not_final(),
        "skipped_superseded": chosen.superseded(),
        "skipped_deleted": chosen.deleted(),
        "dry_run": args.dry_run,
    }))
}

fn print(args: &Args, chosen: &Redelivery, made: &[DeliveryId], context: &Context) -> anyhow::Result<()> {
    let skipped = [
        (chosen.not_final(), "are not final and will be sent anyway"),
        (chosen.superseded(), "were redelivered before"),
        (chosen.deleted(), "belong to deleted subscriptions"),
    ];
    for (count, why) in skipped {
        if count > 0 {
            let skipped = output::pluralize(count as u64, "delivery", "deliveries");
            output::say(&format!("skipped {skipped} that {why}"));
        }
    }
    if chosen.total() == 0 && skipped.iter().all(|(count, _)| *count == 0) {
        output::say(&no_match(args.subscription.as_deref(), &active(&context.config)));
        return Ok(());
    }
    output::line(&summary(args, chosen.total(), made))
}

/// Chooses the deliveries on a blocking thread, because a scan of the queue can take long. `None` after a signal.
async fn choose(args: &Args, context: &Context) -> anyhow::Result<Option<Redelivery>> {
    let reader = Reader::open(&context.config.data_dir)?;
    let active = active(&context.config);
    let (ids, filter, shutdown) = (args.ids.clone(), filter(args, &active), context.shutdown.clone());
    let choose = move || match ids {
        none if none.is_empty() => Redelivery::choose(&reader, &filter, || !shutdown.is_cancelled()),
        ids => Redelivery::of(&ids, &reader, &active).map(Some),
    };
    Ok(tokio::task::spawn_blocking(choose).await??)
}

/// Returns the number of new deliveries and their ids.
fn summary(args: &Args, chosen: usize, made: &[DeliveryId]) -> String {
    let new_deliveries = |count: usize| output::pluralize(count as u64, "new delivery", "new deliveries");
    match made {
        _ if args.dry_run => format!("{} would be made", new_deliveries(chosen)),
        [] => format!("{} made", new_deliveries(0)),
        [one] => format!("{} made: {one}", new_deliveries(1)),
        [first, .., last] => format!("{} made, {first} to {last}", new_deliveries(made.len())),
    }
}

/// Returns the filter that the arguments describe.
fn filter(args: &Args, active: &Active) -> Filter {
    Filter {
        subscription: args.subscription.clone(),
        standings: if args.dead { vec![Standing::Dead] } else { Vec::new() },
        active: active.clone(),
        reason: args.reason,
        topic: args.topic.clone(),
        since: args.since,
        until: args.until,
        ..Filter::default()
    }
}

/// Makes the deliveries in small steps and notifies the worker at intervals. Returns their ids.
///
/// # Errors
/// A step failed or a signal interrupted it. The number of deliveries made so far is reported.
async fn redeliver(
    args: &Args,
    chosen: &mut Redelivery,
    context: &Context,
) -> anyhow::Result<Vec<DeliveryId>> {
    let progress = Progress::new(Some(chosen.total() as u64), "deliveries");
    let mut made = Vec::with_capacity(chosen.total());
    let result = run_steps(args.rate, chosen, &mut made, &progress, context).await;
    progress.finish();
    bus_client::signal_change(&context.config).await;
    if chosen.done() < chosen.total() {
        let (made, total) = (made.len(), chosen.total());
        output::say(&format!("interrupted; only {made} of {total} new deliveries were made"));
        return Err(result.err().unwrap_or_else(|| Said.into()));
    }
    result.map(|()| made)
}

async fn run_steps(
    rate: NonZeroU32,
    chosen: &mut Redelivery,
    made: &mut Vec<DeliveryId>,
    progress: &Progress,
    context: &Context,
) -> anyhow::Result<()> {
    let mut operator = Operator::open(&context.config.data_dir)?;
    let (mut due, mut notified_at) = (Instant::now(), Instant::now());
    let mut active = active(&context.config);
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = context.shutdown.cancelled() => return Ok(()),
        }
        due = Instant::now();
        let Some(step) = chosen.step(&mut operator, rate, &active)? else { return Ok(()) };
        due += step.pause;
        made.extend(step.made);
        progress.set_position(chosen.done() as u64);
        if notified_at.elapsed() >= SIGNAL_INTERVAL {
            notified_at = Instant::now();
            bus_client::signal_change(&context.config).await;
            // Subscriptions may have been deleted meanwhile.
            active = standing::active(&context.config);
        }
    }
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let rate = text.parse().ok().filter(|rate: &NonZeroU32| rate.get() <= MAX_REDELIVERY_RATE);
    rate.ok_or_else(|| format!("must be a number from 1 to {MAX_REDELIVERY_RATE}"))
}
