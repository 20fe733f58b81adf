//! `decnet subscription backfill`: new deliveries of stored events to a subscription that did not get them.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use anyhow::Context as _;
use clap::builder::TypedValueParser as _;
use decnet_core::event::Event;
use decnet_core::limits::MAX_REDELIVERY_RATE;
use decnet_core::time::UnixMicros;
use decnet_store::delivery_rules::{DeliveryRules, RuleResult};
use decnet_store::queue::{Backfill, BackfillTarget, Backfilled, ExternalWriter, Reader};
use decnet_store::severity_file;
use indicatif::ProgressBar;
use serde_json::json;
use tokio::time::Instant;

use super::test::find;
use crate::commands::shared::times::since;
use crate::commands::shared::{bus_client, progress};
use crate::context::Context;
use crate::output;
use crate::store::open_existing;

/// The interval at which the worker is notified of new deliveries.
const SIGNAL_INTERVAL: Duration = Duration::from_secs(1);

/// Sends stored events to a subscription that did not get them, such as a new one.
///
/// Makes a delivery of each stored event whose topic, severity and filter match, unless the subscription has a delivery of it
/// already, in any state: the same command run twice sends nothing twice. The queue stores an event only if a subscription
/// matched when it arrived. Deliveries are queued behind live traffic, oldest events first. Erased events are skipped, and so
/// are events of which retention has removed a delivery, because it is unknown whether the subscription got them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription backfill soc --since 2h --dry-run
  decnet subscription backfill soc --since 2h
  decnet subscription backfill soc --since 2026-11-23 --until 2026-11-24 --limit 1000")]
pub(crate) struct Args {
    /// The name or UUID of the subscription
    name: String,
    /// Only events admitted since this time: 2h (ago), or 2026-11-23T10:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: UnixMicros,
    /// Only events admitted before this time, in the same format
    #[arg(long, value_name = "TIME", value_parser = since)]
    until: Option<UnixMicros>,
    /// Report the number of new deliveries and make none
    #[arg(long)]
    dry_run: bool,
    /// The maximum number of new deliveries; a later run continues
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroU64>,
    /// The maximum number of new deliveries per second
    #[arg(long, value_name = "R", default_value = "1000",
          value_parser = clap::value_parser!(u32).range(1..=MAX_REDELIVERY_RATE.into()).try_map(NonZeroU32::try_from))]
    rate: NonZeroU32,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

/// A backfill with what its steps need.
struct Running<'a> {
    backfill: Backfill,
    rules: DeliveryRules<'a>,
    /// The first event whose filter cannot be evaluated, with the reason.
    failure: Option<String>,
}

pub(super) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let stored = find(&args.name, context)?;
    let subscription = &stored.subscription;
    let severities = severity_file::load(context.config.worker.severity_file.as_deref());
    let severities = severities.map_err(anyhow::Error::msg)?;
    let target = BackfillTarget {
        uuid: subscription.uuid.clone(),
        name: subscription.name.clone(),
        patterns: subscription.patterns.clone(),
        since: args.since,
        until: args.until,
        limit: args.limit.map(NonZeroU64::get),
    };
    let backfill = Backfill::begin(&Reader::open(&context.config.data_dir)?, target)?;
    let rules = DeliveryRules::new(&stored.settings, &severities)?;
    let mut running = Running { backfill, rules, failure: None };
    running.complete(&args, &subscription.uuid, context).await?;
    let done = *running.backfill.done();
    let written = print(&args, done, running.failure.as_deref());
    warn_if_parked(&subscription.uuid, context)?;
    if args.dry_run || done.made == 0 { written } else { output::done(&summary(&args, done), written) }
}

impl Running<'_> {
    /// Runs all steps.
    ///
    /// # Errors
    /// A step failed or a signal interrupted it. The number of deliveries made so far is reported.
    async fn complete(&mut self, args: &Args, uuid: &str, context: &Context) -> anyhow::Result<()> {
        if !args.dry_run {
            // A worker that has not loaded the subscription yet must not take it for a deleted one.
            bus_client::announce_change(&context.config, Vec::new()).await;
        }
        let bar = progress::bar(Some(self.backfill.length()), "events");
        let result = self.run_steps(args, uuid, &bar, context).await;
        drop(bar);
        if !args.dry_run {
            bus_client::signal_change(&context.config).await;
        }
        let made = output::pluralize(self.backfill.done().made, "new delivery was", "new deliveries were");
        let partly = format!("only {made} made; run the command again for the rest");
        match result {
            Ok(true) => Ok(()),
            Ok(false) if args.dry_run => anyhow::bail!("interrupted"),
            Ok(false) => anyhow::bail!("interrupted; {partly}"),
            Err(error) if args.dry_run => Err(error),
            Err(error) => Err(error.context(partly)),
        }
    }

    /// Runs the steps and notifies the worker at intervals. Returns whether they are complete; otherwise a signal has arrived.
    async fn run_steps(
        &mut self,
        args: &Args,
        uuid: &str,
        bar: &ProgressBar,
        context: &Context,
    ) -> anyhow::Result<bool> {
        let reader = Reader::open(&context.config.data_dir)?;
        let writer = (!args.dry_run).then(|| ExternalWriter::open(&context.config.data_dir));
        let mut writer = writer.transpose()?;
        let (mut due, mut notified_at) = (Instant::now(), Instant::now());
        loop {
            // The signal handler runs while this task waits.
            tokio::task::yield_now().await;
            if context.shutdown.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
                return Ok(false);
            }
            due = Instant::now();
            let Some(pause) = self.step(&reader, writer.as_mut(), args.rate)? else { return Ok(true) };
            due += pause;
            bar.set_position(self.backfill.position());
            if notified_at.elapsed() >= SIGNAL_INTERVAL && !args.dry_run {
                notified_at = Instant::now();
                bus_client::signal_change(&context.config).await;
                let exists = open_existing(&context.config)?.get(uuid)?.is_some();
                anyhow::ensure!(exists, "the subscription was deleted");
            }
        }
    }

    fn step(
        &mut self,
        reader: &Reader,
        writer: Option<&mut ExternalWriter>,
        rate: NonZeroU32,
    ) -> anyhow::Result<Option<Duration>> {
        let Self { backfill, rules, failure } = self;
        let apply = |event: &Event| {
            let result = rules.apply(event);
            if let RuleResult::Failed(error) = &result {
                failure.get_or_insert_with(|| format!("event {}: {error}", event.id));
            }
            result
        };
        Ok(backfill.step(reader, writer, rate, apply)?)
    }
}

fn print(args: &Args, done: Backfilled, failure: Option<&str>) -> anyhow::Result<()> {
    let Backfilled { made, excluded, failed, existing, erased, unknown } = done;
    if args.json {
        return output::json(&json!({
            "made": made,
            "skipped_excluded": excluded,
            "skipped_filter_failed": failed,
            "skipped_existing": existing,
            "skipped_erased": erased,
            "skipped_unknown": unknown,
            "dry_run": args.dry_run,
        }));
    }
    let failure = failure.unwrap_or_default();
    let skipped = [
        (excluded, "that the minimum severity or the filter excludes".to_owned()),
        (failed, format!("for which the filter cannot be evaluated; the first is {failure}")),
        (existing, "that the subscription has a delivery of".to_owned()),
        (erased, "whose payload was erased".to_owned()),
        (unknown, "of which retention has removed a delivery, possibly one to the subscription".to_owned()),
    ];
    for (count, why) in &skipped {
        if *count > 0 {
            output::note(&format!("skipped {} {why}", output::pluralize(*count, "event", "events")));
        }
    }
    if done == Backfilled::default() {
        output::note(
            "no stored event matches; the queue stores an event only if a subscription matched when it arrived",
        );
    }
    output::line(&summary(args, done))
}

fn summary(args: &Args, done: Backfilled) -> String {
    let deliveries = output::pluralize(done.made, "new delivery", "new deliveries");
    if args.dry_run { format!("{deliveries} would be made") } else { format!("{deliveries} made") }
}

/// Notes that nothing is sent while the subscription is not active.
fn warn_if_parked(uuid: &str, context: &Context) -> anyhow::Result<()> {
    let found = open_existing(&context.config)?.get(uuid)?;
    let (row, _) = found.context("the subscription was deleted")?;
    if let Some(reason) = row.parked_by() {
        output::note(&format!("the deliveries wait, because `{}` is {reason}", row.name));
    }
    Ok(())
}
