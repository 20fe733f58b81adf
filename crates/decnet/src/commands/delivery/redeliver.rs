//! `decnet delivery redeliver`: new deliveries of old events, behind live traffic and not all at once.

use std::num::NonZeroU32;
use std::time::Duration;

use decnet_core::delivery::{Reason, Standing};
use decnet_core::limits::MAX_REDELIVERY_RATE;
use decnet_core::time::UnixMicros;
use decnet_core::topic::Pattern;
use decnet_store::queue::{Active, DeliveryId, Filter, Operator, Reader, Redelivery};
use serde_json::json;
use tokio::time::Instant;

use super::list::nothing;
use super::standing::{self, active};
use crate::commands::link;
use crate::commands::progress::Progress;
use crate::commands::since::since;
use crate::context::Context;
use crate::failure::Said;
use crate::output;

/// Time between two words to the worker that there is something new.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);

/// Delivers old events again: a new delivery of the same event, with the same webhook-id.
///
/// Names deliveries by id, or chooses among those that are final: dead ones with --dead, delivered ones too
/// without it. What is not final goes out by itself: it is skipped, and refused where it is named by its id. What was sent
/// again before is skipped too, for its latest delivery counts: the same command twice sends nothing twice. So is what was for
/// a subscription that is deleted. Receivers that
/// were to get an event once may get it again: they can tell by its id.
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
    #[arg(value_name = "ID", group = "which", conflicts_with_all = ["dead", "reason", "since", "until", "subscription", "topic"])]
    ids: Vec<DeliveryId>,
    /// Only dead ones
    #[arg(long, group = "which")]
    dead: bool,
    /// Only dead ones, for this reason: timeout, server_error, refused, ...
    #[arg(long, group = "which")]
    reason: Option<Reason>,
    /// Only since then: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since, group = "which")]
    since: Option<UnixMicros>,
    /// Only before then, written in the same way
    #[arg(long, value_name = "TIME", value_parser = since, group = "which")]
    until: Option<UnixMicros>,
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
    #[arg(long, value_name = "R", default_value = "1000", value_parser = rate)]
    rate: NonZeroU32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let Some(mut chosen) = choose(&args, context).await? else {
        output::say("interrupted; nothing was sent again");
        return Err(Said.into());
    };
    let made = if args.dry_run { Vec::new() } else { redeliver(&args, &mut chosen, context).await? };
    let written =
        if args.json { tell_json(&args, &chosen, &made) } else { tell(&args, &chosen, &made, context) };
    if made.is_empty() { written } else { output::done(&told(&args, chosen.total(), &made), written) }
}

fn tell_json(args: &Args, chosen: &Redelivery, made: &[DeliveryId]) -> anyhow::Result<()> {
    output::json(&json!({
        "chosen": chosen.total(),
        "redelivered": made.len(),
        "skipped_not_final": chosen.not_final(),
        "skipped_superseded": chosen.superseded(),
        "skipped_deleted": chosen.deleted(),
        "dry_run": args.dry_run,
    }))
}

fn tell(args: &Args, chosen: &Redelivery, made: &[DeliveryId], context: &Context) -> anyhow::Result<()> {
    let skipped = [
        (chosen.not_final(), "not final: what is not goes out by itself"),
        (chosen.superseded(), "sent again before: their latest delivery counts"),
        (chosen.deleted(), "for subscriptions that are deleted"),
    ];
    for (count, why) in skipped {
        if count > 0 {
            let skipped = output::counted(count as u64, "delivery", "deliveries");
            output::say(&format!("skipped {skipped} that were {why}"));
        }
    }
    if chosen.total() == 0 && skipped.iter().all(|(count, _)| *count == 0) {
        output::say(&nothing(args.subscription.as_deref(), &active(&context.config)));
        return Ok(());
    }
    output::line(&told(args, chosen.total(), made))
}

/// None if a signal ends it. A look at all of the queue takes long; the signal is heard meanwhile.
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

/// How many, and where the new ones are to be found.
fn told(args: &Args, chosen: usize, made: &[DeliveryId]) -> String {
    let counted = |count: usize| output::counted(count as u64, "new delivery", "new deliveries");
    match made {
        _ if args.dry_run => format!("{} would be made", counted(chosen)),
        [] => format!("{} made", counted(0)),
        [one] => format!("{} made: {one}", counted(1)),
        [first, .., last] => format!("{} made, {first} to {last}", counted(made.len())),
    }
}

/// What the arguments describe.
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

/// Makes them in small steps, and tells the worker now and then; which, however it ends.
///
/// # Errors
/// A step failed, or a signal ended it: that is said, with how many were made by then.
async fn redeliver(
    args: &Args,
    chosen: &mut Redelivery,
    context: &Context,
) -> anyhow::Result<Vec<DeliveryId>> {
    let progress = Progress::new(Some(chosen.total() as u64), "deliveries");
    let mut made = Vec::with_capacity(chosen.total());
    let result = go(args.rate, chosen, &mut made, &progress, context).await;
    progress.finish();
    link::signal_change(&context.config).await;
    if chosen.done() < chosen.total() {
        let (made, total) = (made.len(), chosen.total());
        output::say(&format!("interrupted; only {made} of {total} new deliveries were made"));
        return Err(result.err().unwrap_or_else(|| Said.into()));
    }
    result.map(|()| made)
}

async fn go(
    rate: NonZeroU32,
    chosen: &mut Redelivery,
    made: &mut Vec<DeliveryId>,
    progress: &Progress,
    context: &Context,
) -> anyhow::Result<()> {
    let mut operator = Operator::open(&context.config.data_dir)?;
    let (mut due, mut told_at) = (Instant::now(), Instant::now());
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
        if told_at.elapsed() >= SIGNAL_INTERVAL {
            told_at = Instant::now();
            link::signal_change(&context.config).await;
            // Subscriptions may be deleted meanwhile.
            active = standing::active(&context.config);
        }
    }
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let rate = text.parse().ok().filter(|rate: &NonZeroU32| rate.get() <= MAX_REDELIVERY_RATE);
    rate.ok_or_else(|| format!("a number from 1 to {MAX_REDELIVERY_RATE} is expected"))
}
