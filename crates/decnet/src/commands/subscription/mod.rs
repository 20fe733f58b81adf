//! `decnet subscription`: manages the subscriptions in the catalog. Needs no daemon.

mod backfill;
mod change;
mod create;
mod credential_args;
mod destination_args;
mod header_args;
mod key_pair;
mod list;
mod patterns;
mod preview;
mod rotate;
mod secret;
mod settings_args;
mod show;
mod test;
mod url_args;

use decnet_core::settings::{BatchError, SettingsError};
use decnet_core::subscription::Problem;
use decnet_store::catalog::{Error, Patch};

use crate::context::Context;
use crate::failure::Usage;

/// Creates, lists, changes and tests subscriptions.
///
/// A subscription is identified by its name, its UUID, or the first 8 characters of the UUID. A change applies to every
/// event that is published after the command has ended.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  decnet subscription create --name siem --url https://siem.example/hook --pattern 'attacker.>'
  decnet subscription list
  decnet subscription test siem")]
pub(crate) enum Command {
    List(list::Args),
    /// Shows one subscription, without its secret.
    ///
    /// Only scheme, host and port of the URL are shown, because the rest may be a secret; --json prints it completely.
    #[command(after_help = "\
Examples:
  decnet subscription show siem
  decnet subscription show 3f2b8c1d --json")]
    Show(Target),
    Create(create::Args),
    Update(change::UpdateArgs),
    /// Deletes a subscription. Its waiting deliveries become dead.
    #[command(after_help = "Examples:\n  decnet subscription delete siem")]
    Delete(Target),
    /// Enables a subscription and resets its circuit breaker. Parked deliveries are sent.
    ///
    /// Deliveries that were never attempted are sent at once, all others when their retry is due. If the receiver has asked for
    /// a delay with Retry-After, the delay is cancelled and all waiting deliveries are sent at once.
    #[command(after_help = "Examples:\n  decnet subscription enable siem")]
    Enable(Target),
    /// Disables a subscription: it gets no new deliveries, and the waiting deliveries are parked.
    #[command(after_help = "Examples:\n  decnet subscription disable siem")]
    Disable(Target),
    /// Pauses a subscription: new events are queued for it, and nothing is sent until it is resumed.
    ///
    /// Waiting deliveries are parked, so they are kept for DECNET_WEBHOOK_RETAIN_PARKED. A disabled subscription, in
    /// contrast, gets no new deliveries.
    #[command(after_help = "Examples:\n  decnet subscription pause siem")]
    Pause(Target),
    /// Resumes a paused subscription: waiting deliveries are sent. A tripped or disabled subscription remains in that state.
    #[command(after_help = "Examples:\n  decnet subscription resume siem")]
    Resume(Target),
    RotateSecret(rotate::Args),
    Key(key_pair::Args),
    Test(test::Args),
    Try(preview::Args),
    Backfill(backfill::Args),
}

/// The subscription on which a command acts.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The name or UUID of the subscription
    name: String,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(command: Command, context: &Context) -> anyhow::Result<()> {
    let enabled = |enabled| Patch { enabled: Some(enabled), ..Patch::default() };
    let paused = |paused| Patch { paused: Some(paused), ..Patch::default() };
    match command {
        Command::List(args) => list::run(&args, context),
        Command::Show(target) => show::run(&target, context),
        Command::Create(args) => create::run(args, context).await,
        Command::Update(args) => change::update(args, context).await,
        Command::Delete(target) => change::delete(&target, context).await,
        Command::Enable(target) => change::change(&target, &enabled(true), "enabled", context).await,
        Command::Disable(target) => change::change(&target, &enabled(false), "disabled", context).await,
        Command::Pause(target) => change::change(&target, &paused(true), "paused", context).await,
        Command::Resume(target) => change::change(&target, &paused(false), "resumed", context).await,
        Command::RotateSecret(args) => rotate::run(args, context).await,
        Command::Key(args) => key_pair::run(&args),
        Command::Test(args) => test::run(&args, context).await,
        Command::Try(args) => preview::run(&args, context),
        Command::Backfill(args) => backfill::run(args, context).await,
    }
}

/// Maps a value that the catalog rejects to a usage error, as for a value that the command line rejects.
fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(Problem::Settings(error)) => settings_refused(&error).into(),
        Error::Rotation(error) => Usage::new(error.to_string()).into(),
        Error::Invalid(problem) => Usage::new(problem.to_string()).into(),
        other => other.into(),
    }
}

/// Maps a rejected setting to a usage error, with the names of the options.
fn settings_refused(error: &SettingsError) -> Usage {
    Usage::new(match error {
        SettingsError::Batch(BatchError::Unsized) => {
            "--linger and --batch-format need --batch: the maximum number of events of a batch".to_owned()
        }
        other => other.to_string(),
    })
}
