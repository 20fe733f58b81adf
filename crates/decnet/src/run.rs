//! A run of the program, from arguments to result.

use std::ffi::OsString;
use std::io::{IsTerminal as _, stderr, stdout};

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Cli, Command};
use crate::commands::shared::detach;
use crate::config::{self, Found};
use crate::context::Context;
use crate::failure::Usage;
use crate::output::Paint;
use crate::{commands, logging, output, process_env, signals};

/// Parses the arguments, reads the configuration, and runs the command.
///
/// # Errors
/// The error that ended the run; `failure::report` prints it.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let mut inputs = process_env::inputs(cli::config_argument(arguments));
    let is_agent = config::find(&inputs).config.is_agent();
    let cli = Cli::parse_as(arguments, is_agent)?;
    if cli.command.must_detach() {
        return detach::start(arguments);
    }
    inputs.data_dir = cli.global.data_dir.clone();
    inputs.uses = cli.command.uses();
    let no_color = inputs.environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colors = |is_terminal| output::has_colors(cli.global.color, no_color, is_terminal);
    let mut found = config::find(&inputs);
    match &cli.command {
        Command::Completions(args) => return commands::completions::run(args),
        Command::Docs(args) => return commands::docs::run(args),
        _ => {}
    }
    let default_level = if cli.command.is_daemon() { "info" } else { "warn" };
    logging::start(&found.config.log, default_level, cli.global.verbose, colors(stderr().is_terminal()))?;
    if inputs.uses.catalog {
        found.select_catalog(&inputs)?;
    }
    found.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let context = Context {
        config: found.config.clone(),
        shutdown: CancellationToken::new(),
        paint: Paint::new(colors(stdout().is_terminal())),
    };
    run_until_signal(cli.command, found, &context)
}

/// Runs a command on a runtime, with signal handling.
fn run_until_signal(command: Command, found: Found, context: &Context) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let result = runtime.block_on(async {
        let second_signal = signals::handle(context.shutdown.clone());
        let second_signal = second_signal.context("cannot install the signal handlers")?;
        tokio::select! {
            result = dispatch(command, found, context) => result,
            exit = second_signal => Err(exit.into()),
        }
    });
    // A thread that still waits for stdin must not delay the exit.
    runtime.shutdown_background();
    result
}

async fn dispatch(command: Command, found: Found, context: &Context) -> anyhow::Result<()> {
    if let Command::Check(args) = &command {
        return commands::check::run(args, found, context).await;
    }
    if !found.problems.is_empty() {
        return Err(Usage(found.problems).into());
    }
    match command {
        Command::Serve(args) => commands::serve::run(args, context).await,
        Command::Api(args) => commands::api::run(args, context).await,
        Command::Webhook(args) => commands::webhook::run(args, context).await,
        Command::Bus(args) => commands::bus::run(args, context).await,
        Command::Publish(args) => commands::publish::run(args, context).await,
        Command::Watch(args) => commands::watch::run(args, context).await,
        Command::Subscription(command) => commands::subscription::run(command, context).await,
        Command::Delivery(command) => commands::delivery::run(command, context).await,
        Command::Status(args) => commands::status::run(args, context).await,
        Command::Token(command) => commands::token::run(command, context).await,
        Command::Key(command) => commands::key::run(command, context).await,
        Command::Explain(args) => commands::explain::run(&args, context),
        Command::Audit(args) => commands::audit::run(args, context),
        Command::Clock(args) => commands::clock::run(&args, context),
        Command::Erase(args) => commands::erase::run(args, context).await,
        Command::Backup(args) => commands::backup::run(args, context).await,
        Command::Restore(args) => commands::restore::run(args, context).await,
        Command::Receive(args) => commands::receive::run(args, context).await,
        Command::Init(args) => commands::init::run(args, context).await,
        Command::Bench(args) => commands::bench::run(args, context).await,
        Command::Check(_) | Command::Completions(_) | Command::Docs(_) => Ok(()),
    }
}
