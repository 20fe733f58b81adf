//! `decnet subscription`: manages the subscriptions in the catalog. Needs no daemon.

mod change;
mod create;
mod header_args;
mod list;
mod patterns;
mod rotate;
mod secret;
mod settings_args;
mod show;
pub(crate) mod test;
mod url_args;
mod warn;

use decnet_core::settings::{BatchError, SettingsError};
use decnet_core::subscription::Problem;
use decnet_store::catalog::Error;

pub(crate) use crate::commands::catalog::open_existing;
use crate::context::Context;
use crate::failure::Usage;

/// Creates, lists, changes and tests subscriptions.
///
/// A subscription is identified by its name, its UUID, or the first 8 characters of the UUID. A change applies to every
/// event that is published after the command has ended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet subscription create --name siem --url https://siem.example/hook --pattern 'attacker.>'
  decnet subscription list
  decnet subscription test siem")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Show(show::Args),
    Create(create::Args),
    Update(change::UpdateArgs),
    Delete(change::DeleteArgs),
    Enable(change::EnableArgs),
    Disable(change::DisableArgs),
    Pause(change::PauseArgs),
    Resume(change::ResumeArgs),
    RotateSecret(rotate::Args),
    Test(test::Args),
}

impl Args {
    /// Returns whether the command sends a test event.
    pub(crate) fn is_test(&self) -> bool {
        matches!(self.command, Command::Test(_))
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> anyhow::Result<()> {
    match args.command {
        Command::List(args) => list::run(&args, context),
        Command::Show(args) => show::run(&args, context),
        Command::Create(args) => create::run(args, context).await,
        Command::Update(args) => change::update(args, context).await,
        Command::Delete(args) => change::delete(args, context).await,
        Command::Enable(args) => change::enable(args, context).await,
        Command::Disable(args) => change::disable(args, context).await,
        Command::Pause(args) => change::pause(args, context).await,
        Command::Resume(args) => change::resume(args, context).await,
        Command::RotateSecret(args) => rotate::run(args, context).await,
        Command::Test(args) => test::run(&args, context).await,
    }
}

/// Maps a value that the catalog rejects to wrong usage, as for a value that the command line rejects.
fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::Invalid(Problem::Settings(error)) => settings_refused(&error).into(),
        Error::Rotation(error) => Usage::new(error.to_string()).into(),
        Error::Invalid(problem) => Usage::new(problem.to_string()).into(),
        other => other.into(),
    }
}

/// Maps a rejected setting to wrong usage, with the names of the options.
fn settings_refused(error: &SettingsError) -> Usage {
    Usage::new(match error {
        SettingsError::Batch(BatchError::Unsized) => {
            "--linger and --batch-format need --batch: the maximum number of events of a batch".to_owned()
        }
        other => other.to_string(),
    })
}
