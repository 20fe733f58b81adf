//! `decnet erase`: payloads are gone, and what happened stays.

use std::cell::Cell;

use decnet_store::catalog::{Catalog, Create};
use decnet_store::queue::{Erase, Erased, Erasure, Error, Operator};
use serde_json::json;

use super::confirm;
use super::progress::Progress;
use crate::commands::link;
use crate::context::Context;
use crate::failure::Said;
use crate::output;
use crate::receiver::now;

/// Erases the payloads of a subscription, or of one event.
///
/// The bodies of its events and what receivers answered are overwritten; that they were delivered, when, and how it went
/// stays on record. What still waits is not sent any more. A body that other subscriptions are still owed stays until they
/// have it: erase again then. Backups are not touched.
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
    /// Everything for this subscription: its name or UUID; of a deleted one its UUID
    #[arg(long, value_name = "NAME", group = "what")]
    subscription: Option<String>,
    /// The events with this id, to whomever they went
    #[arg(long, value_name = "ID", group = "what")]
    event_id: Option<String>,
    /// Say how much it would be, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    let mut operator = Operator::open(&context.config.data_dir)?;
    let what = what(&args, &operator, context)?;
    if args.dry_run || !args.yes {
        let would;
        (operator, would) = carry_out(operator, what.clone(), true, context).await?;
        if args.dry_run {
            return tell(&args, would, true, true);
        }
        allow(would, context).await?;
    }
    let (operator, done) = carry_out(operator, what, false, context).await?;
    let is_gone = clean_up(operator, context).await?;
    output::done(&format!("erased {}", amount(done)), tell(&args, done, false, is_gone))
}

async fn allow(would: Erased, context: &Context) -> anyhow::Result<()> {
    let question = format!("This erases {}; it cannot be undone. Go on? [y/N] ", amount(would));
    let problem = format!("this would erase {}; where nobody can be asked, --yes allows it", amount(would));
    if confirm::ask(question, problem, context).await? {
        return Ok(());
    }
    output::say("nothing was erased");
    Err(Said.into())
}

fn what(args: &Args, operator: &Operator, context: &Context) -> anyhow::Result<Erase> {
    let Some(name) = &args.subscription else {
        return Ok(Erase::Event(args.event_id.clone().unwrap_or_default()));
    };
    // An exact UUID comes first, before a subscription that has it for a name. It may be deleted: the queue knows what it had.
    let by_uuid = Erase::Subscription(name.clone());
    if Erasure::begin(operator, by_uuid.clone(), true)?.is_some() {
        return Ok(by_uuid);
    }
    let row = Catalog::open(context.config.database.path()?, Create::Never)?.find(name)?;
    Ok(Erase::Subscription(row.uuid))
}

/// All of it, on a thread of its own, so that a signal is heard.
///
/// # Errors
/// A signal ended it: that is said, with what was done by then.
async fn carry_out(
    mut operator: Operator,
    what: Erase,
    dry_run: bool,
    context: &Context,
) -> anyhow::Result<(Operator, Erased)> {
    let Some(mut erasure) = Erasure::begin(&operator, what, dry_run)? else {
        return Ok((operator, Erased::default()));
    };
    let (progress, shutdown) = (Progress::new(None, "deliveries"), context.shutdown.clone());
    let erase = move || {
        let waits = Cell::new(false);
        let go_on = |done: &Erased, trouble: Option<&Error>| {
            progress.set_position(done.deliveries);
            if let (Some(error), false) = (trouble, waits.replace(trouble.is_some())) {
                let error = anyhow::Error::new(error.clone());
                output::say(&format!("decnet: warning: {error:#}; this waits until that has passed"));
            }
            !shutdown.is_cancelled()
        };
        let result = erasure.carry_out(&mut operator, now, go_on);
        progress.finish();
        (operator, *erasure.done(), result)
    };
    let (operator, done, result) = tokio::task::spawn_blocking(erase).await?;
    // Of what was erased before it failed, too, the worker must know.
    if !dry_run {
        link::signal_change(&context.config).await;
    }
    if !result? {
        interrupted(done, dry_run);
        return Err(Said.into());
    }
    Ok((operator, done))
}

fn interrupted(done: Erased, dry_run: bool) {
    output::say(&if dry_run {
        "interrupted; nothing was erased".to_owned()
    } else {
        format!("interrupted; erased only {}; run it again for the rest", amount(done))
    });
}

/// Are the files rid of it? On a thread of its own, too.
async fn clean_up(mut operator: Operator, context: &Context) -> anyhow::Result<bool> {
    let shutdown = context.shutdown.clone();
    Ok(tokio::task::spawn_blocking(move || operator.clean_up(|| !shutdown.is_cancelled())).await??)
}

fn amount(erased: Erased) -> String {
    let deliveries = output::counted(erased.deliveries, "delivery", "deliveries");
    let events = output::counted(erased.events + erased.submitted, "body", "bodies");
    format!("{events} and the replies of {deliveries}, {} of which still wait", erased.given_up)
}

fn tell(args: &Args, erased: Erased, dry_run: bool, is_gone: bool) -> anyhow::Result<()> {
    if !is_gone {
        output::say(
            "decnet: warning: what was erased is not gone from the disk yet: this was interrupted, or somebody reads the queue, whose log still holds it. Run this again",
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
        let shared = output::counted(erased.shared, "body", "bodies");
        output::say(&format!(
            "{shared} stay, since other subscriptions are still owed them; erase again once they have them"
        ));
    }
    Ok(())
}
