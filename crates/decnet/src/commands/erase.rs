//! `decnet erase`: erases payloads and keeps the record of deliveries.

use std::cell::Cell;

use decnet_store::queue::{Erased, Erasure, ErasureTarget, Error, ExternalWriter};
use serde_json::json;

use super::shared::{bus_client, confirm, progress};
use crate::context::Context;
use crate::output;
use crate::receiver::now;
use crate::store::open_existing;

/// Erases the payloads of a subscription, or of one event.
///
/// Overwrites the bodies of its events and the replies of receivers. The record of deliveries and attempts is kept. Deliveries
/// that still wait are not sent. A body that other subscriptions still wait for is kept: erase again once they have received
/// it. Backups are not changed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  decnet erase --subscription siem --dry-run
  decnet erase --subscription siem
  decnet erase --event-id 4f0c2d9e6b1a4c7f8d3e5a2b1c0f9e8d --yes",
    group = clap::ArgGroup::new("what").required(true)
)]
pub(crate) struct Args {
    /// The subscription: its name or UUID, or the UUID of a deleted subscription
    #[arg(long, value_name = "NAME", group = "what")]
    subscription: Option<String>,
    /// The event id, for all subscriptions
    #[arg(long, value_name = "ID", group = "what")]
    event_id: Option<String>,
    /// Report how much would be erased and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Skip the confirmation
    #[arg(long)]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let mut writer = ExternalWriter::open(&context.config.data_dir)?;
    let target = target(&args, &writer, context)?;
    if args.dry_run || !args.yes {
        let planned;
        (writer, planned) = erase(writer, target.clone(), true, context).await?;
        if args.dry_run {
            return print(&args, planned, true, true);
        }
        confirm::ask(&format!("erase {}", amount(planned)), "nothing was erased", context).await?;
    }
    let (mut writer, done) = erase(writer, target, false, context).await?;
    let shutdown = context.shutdown.clone();
    let cleaning = tokio::task::spawn_blocking(move || writer.clean_up(|| !shutdown.is_cancelled()));
    let is_gone = cleaning.await??;
    output::done(&format!("erased {}", amount(done)), print(&args, done, false, is_gone))
}

fn target(args: &Args, writer: &ExternalWriter, context: &Context) -> anyhow::Result<ErasureTarget> {
    let Some(name) = &args.subscription else {
        return Ok(ErasureTarget::Event(args.event_id.clone().unwrap_or_default()));
    };
    // An exact UUID takes precedence over a name that looks like it. A deleted subscription is found in the queue only.
    let by_uuid = ErasureTarget::Subscription(name.clone());
    if Erasure::begin(writer, by_uuid.clone(), true)?.is_some() {
        return Ok(by_uuid);
    }
    let row = open_existing(&context.config)?.find(name)?;
    Ok(ErasureTarget::Subscription(row.uuid))
}

/// Erases on a blocking thread, so that a signal can interrupt it.
///
/// # Errors
/// The queue cannot be written, or a signal interrupted the erasure. The latter is reported with the amount erased so far.
async fn erase(
    mut writer: ExternalWriter,
    target: ErasureTarget,
    dry_run: bool,
    context: &Context,
) -> anyhow::Result<(ExternalWriter, Erased)> {
    let Some(mut erasure) = Erasure::begin(&writer, target, dry_run)? else {
        return Ok((writer, Erased::default()));
    };
    let (bar, shutdown) = (progress::bar(None, "deliveries"), context.shutdown.clone());
    let erase = move || {
        let is_blocked = Cell::new(false);
        let keep_going = |done: &Erased, error: Option<&Error>| {
            bar.set_position(done.deliveries);
            if let (Some(error), false) = (error, is_blocked.replace(error.is_some())) {
                let error = anyhow::Error::new(error.clone());
                output::warn(&format!("{error:#}; retrying"));
            }
            !shutdown.is_cancelled()
        };
        let result = erasure.run(&mut writer, now, keep_going);
        drop(bar);
        (writer, *erasure.done(), result)
    };
    let (writer, done, result) = tokio::task::spawn_blocking(erase).await?;
    // The worker must also reload what was erased before a failure.
    if !dry_run {
        bus_client::signal_change(&context.config).await;
    }
    match result? {
        true => Ok((writer, done)),
        false if dry_run => anyhow::bail!("interrupted; nothing was erased"),
        false => {
            anyhow::bail!("interrupted; erased only {}; run the command again for the rest", amount(done))
        }
    }
}

fn amount(erased: Erased) -> String {
    let deliveries = output::pluralize(erased.deliveries, "delivery", "deliveries");
    let events = output::pluralize(erased.events + erased.submitted, "body", "bodies");
    format!("{events} and the replies of {deliveries}, {} of which were still waiting", erased.given_up)
}

fn print(args: &Args, erased: Erased, dry_run: bool, is_gone: bool) -> anyhow::Result<()> {
    if !is_gone {
        output::warn(
            "the erased data is still on the disk: the command was interrupted, or a reader holds the queue's write-ahead log \
             open; run it again",
        );
    }
    if args.json {
        return output::json(&json!({
            "dry_run": dry_run,
            "bodies": erased.events,
            "deliveries": erased.deliveries,
            "given_up": erased.given_up,
            "submitted": erased.submitted,
            "still_owed_to_others": erased.shared,
            "gone_from_disk": !dry_run && is_gone,
        }));
    }
    let verb = if dry_run { "would erase" } else { "erased" };
    output::line(&format!("{verb} {}", amount(erased)))?;
    if erased.shared > 0 {
        let shared = output::pluralize(erased.shared, "body", "bodies");
        output::note(&format!(
            "{shared} kept, because other subscriptions still wait for them; erase again once they are delivered"
        ));
    }
    Ok(())
}
