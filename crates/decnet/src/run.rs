//! A run of the program, from arguments to result.

use std::ffi::OsString;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::cli::{self, Cli, Command};
use crate::commands::shared::detach;
use crate::config::{self, Found};
use crate::context::Context;
use crate::failure::Usage;
use crate::signals::Signals;
use crate::{commands, logging, output, process_env};

/// Parses the arguments, reads the configuration, and runs the command.
///
/// # Errors
/// The error that ended the run; `failure::report` prints it.
pub(crate) fn run(arguments: &[OsString]) -> anyhow::Result<()> {
    let mut inputs = process_env::inputs(cli::config_argument(arguments));
    let is_agent = config::find(&inputs).config.is_agent();
    let cli = Cli::parse_as(arguments, is_agent)?;
    if cli.command.is_to_detach() {
        return detach::start(arguments);
    }
    inputs.data_dir = cli.global.data_dir.clone();
    inputs.serves_api = cli.command.serves_api();
    let no_color = inputs.environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
    let mut found = config::find(&inputs);
    match &cli.command {
        Command::Completions(args) => return commands::completions::run(args),
        Command::Docs(args) => return commands::docs::run(args),
        _ => {}
    }
    let color = cli.global.color.for_stderr(no_color);
    let default_level = if cli.command.is_daemon() { "info" } else { "warn" };
    logging::start(&found.config.log, default_level, cli.global.verbose, color)?;
    if cli.command.looks_into_data() {
        found.warn_of_closed_files();
    }
    if cli.command.sends() {
        found.warn_of_proxies();
    }
    if cli.command.opens_catalog() {
        found.settle_catalog(&inputs)?;
    }
    let is_temporary = matches!(&cli.command, Command::Serve(args) if args.is_temporary(&found.config));
    if (cli.command.is_daemon() && !is_temporary) || matches!(cli.command, Command::Check(_)) {
        found.warn_of_exposure();
    }
    found.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    if let Some(closed) = found.config.closed_data_dir().filter(|_| cli.command.looks_into_data()) {
        let (closed, taken) = (closed.display(), found.config.data_dir.display());
        output::say(&format!(
            "decnet: this user may not access {closed}, so {taken} is used; run with sudo to use the services' directory"
        ));
    }
    let context = Context {
        config: found.config.clone(),
        shutdown: CancellationToken::new(),
        paint: cli.global.color.for_stdout(no_color),
    };
    run_until_signal(cli.command, found, &context)
}

/// Runs a command on a runtime, with signal handling.
fn run_until_signal(command: Command, found: Found, context: &Context) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    let result = runtime.block_on(async {
        let signals = Signals::listen().context("cannot install the signal handlers")?;
        tokio::select! {
            result = dispatch(command, found, context) => result,
            second = signals.second(context.shutdown.clone()) => Err(second.into()),
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
        Command::Token(command) => commands::token::run(command, context),
        Command::Explain(args) => commands::explain::run(&args, context),
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
