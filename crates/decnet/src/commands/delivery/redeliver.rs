//! `decnet delivery redeliver`: new deliveries of old events, rate-limited and with less priority than live traffic.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::TypedValueParser as _;
use decnet_core::delivery::DeliveryStatus;
use decnet_core::limits::MAX_REDELIVERY_RATE;
use decnet_store::queue::{DeliveryId, ExternalWriter, Filter, Reader, Redelivery};
use indicatif::ProgressBar;
use serde_json::json;
use tokio::time::Instant;

use super::active_subscriptions;
use super::filter_args::FilterArgs;
use super::list::no_match;
use crate::commands::shared::{bus_client, progress};
use crate::context::Context;
use crate::output;

/// The interval at which the worker is notified of new deliveries.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);

/// The arguments that select deliveries: ids, or filters.
const WHICH: [&str; 8] = ["ids", "dead", "reason", "status", "subscription", "topic", "since", "until"];

/// Redelivers old events: makes a new delivery of the same event, with the same webhook-id.
///
/// Deliveries are named by id or selected by filters. Filters select final deliveries, dead or delivered; with --dead, only
/// dead deliveries. Deliveries that are not final will still be sent, so they are skipped; naming one by id is an error.
/// Deliveries that were redelivered before are skipped, because their latest delivery counts: the same command run twice sends
/// nothing twice. Deliveries of deleted subscriptions are skipped too. Receivers may get an event again and can recognise it by
/// its id.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  decnet delivery redeliver 1042.0 1043.1
  decnet delivery redeliver --dead --subscription siem --dry-run
  decnet delivery redeliver --reason template --subscription siem   # once the template works
  decnet delivery redeliver --since 2h --subscription siem --topic 'attacker.>'",
    group = clap::ArgGroup::new("which").required(true).multiple(true).args(WHICH)
)]
pub(crate) struct Args {
    /// The ids of deliveries, as shown by `decnet delivery list`
    #[arg(value_name = "ID", conflicts_with_all = &WHICH[1..])]
    ids: Vec<DeliveryId>,
    /// Only dead deliveries
    #[arg(long)]
    dead: bool,
    #[command(flatten)]
    filter: FilterArgs,
    /// Report the number of new deliveries and make none
    #[arg(long)]
    dry_run: bool,
    /// The maximum number of new deliveries per second
    #[arg(long, value_name = "R", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..=MAX_REDELIVERY_RATE.into()).try_map(NonZeroU32::try_from))]
    rate: NonZeroU32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let chosen = choose(&args, context).await?;
    let mut chosen = chosen.context("interrupted; nothing was redelivered")?;
    let made = if args.dry_run { Vec::new() } else { redeliver(&args, &mut chosen, context).await? };
    let written = print(&args, &chosen, &made, context);
    if made.is_empty() { written } else { output::done(&summary(&args, chosen.total(), &made), written) }
}

fn print(args: &Args, chosen: &Redelivery, made: &[DeliveryId], context: &Context) -> anyhow::Result<()> {
    if args.json {
        return output::json(&json!({
            "chosen": chosen.total(),
            "redelivered": made.len(),
            "skipped_not_final": chosen.not_final,
            "skipped_superseded": chosen.superseded,
            "skipped_deleted": chosen.deleted,
            "dry_run": args.dry_run,
        }));
    }
    let skipped = [
        (chosen.not_final, "are not final and will be sent anyway"),
        (chosen.superseded, "were redelivered before"),
        (chosen.deleted, "belong to deleted subscriptions"),
    ];
    for (count, why) in skipped {
        if count > 0 {
            let skipped = output::pluralize(count as u64, "delivery", "deliveries");
            output::note(&format!("skipped {skipped} that {why}"));
        }
    }
    if chosen.total() == 0 && skipped.iter().all(|(count, _)| *count == 0) {
        output::note(&no_match(args.filter.subscription.as_deref(), &active_subscriptions(&context.config)));
        return Ok(());
    }
    output::line(&summary(args, chosen.total(), made))
}

/// Chooses the deliveries on a blocking thread, because a scan of the queue can take long. `None` after a signal.
async fn choose(args: &Args, context: &Context) -> anyhow::Result<Option<Redelivery>> {
    let reader = Reader::open(&context.config.data_dir)?;
    let active = active_subscriptions(&context.config);
    let statuses = if args.dead { vec![DeliveryStatus::Dead] } else { Vec::new() };
    let filter = Filter { statuses, ..args.filter.filter(&active) };
    let (ids, shutdown) = (args.ids.clone(), context.shutdown.clone());
    let choose = move || match ids {
        none if none.is_empty() => Redelivery::select(&reader, &filter, || !shutdown.is_cancelled()),
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

/// Makes the deliveries in small steps and notifies the worker at intervals. Returns their ids.
///
/// # Errors
/// A step failed or a signal interrupted it. The number of deliveries made so far is reported.
async fn redeliver(
    args: &Args,
    chosen: &mut Redelivery,
    context: &Context,
) -> anyhow::Result<Vec<DeliveryId>> {
    let bar = progress::bar(Some(chosen.total() as u64), "deliveries");
    let mut made = Vec::with_capacity(chosen.total());
    let result = run_steps(args.rate, chosen, &mut made, &bar, context).await;
    drop(bar);
    bus_client::signal_change(&context.config).await;
    if chosen.done() < chosen.total() {
        let partly = format!("only {} of {} new deliveries were made", made.len(), chosen.total());
        return Err(match result {
            Ok(()) => anyhow::anyhow!("interrupted; {partly}"),
            Err(error) => error.context(partly),
        });
    }
    result.map(|()| made)
}

async fn run_steps(
    rate: NonZeroU32,
    chosen: &mut Redelivery,
    made: &mut Vec<DeliveryId>,
    bar: &ProgressBar,
    context: &Context,
) -> anyhow::Result<()> {
    let mut writer = ExternalWriter::open(&context.config.data_dir)?;
    let (mut due, mut notified_at) = (Instant::now(), Instant::now());
    let mut active = active_subscriptions(&context.config);
    loop {
        if context.shutdown.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
            return Ok(());
        }
        due = Instant::now();
        let Some(step) = chosen.step(&mut writer, rate, &active)? else { return Ok(()) };
        due += step.pause;
        made.extend(step.made);
        bar.set_position(chosen.done() as u64);
        if notified_at.elapsed() >= SIGNAL_INTERVAL {
            notified_at = Instant::now();
            bus_client::signal_change(&context.config).await;
            // Subscriptions may have been deleted in the meantime.
            active = active_subscriptions(&context.config);
        }
    }
}
