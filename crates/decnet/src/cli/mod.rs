//! The command line: the tree of commands and the global flags.

mod groups;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    api, audit, backup, bench, bus, check, clock, completions, delivery, docs, erase, explain, init, key,
    publish, receive, restore, serve, status, subscription, token, watch, webhook,
};
use crate::config::Uses;
use crate::failure::Usage;

/// The commands that an agent has. All other commands need the catalog, which is on the master.
const ON_AGENTS: [&str; 8] = ["bus", "publish", "receive", "watch", "check", "bench", "completions", "docs"];

/// Delivers every event of a bus, durably and signed, to every webhook that is subscribed to it.
#[derive(Debug, Parser)]
#[command(
    name = "decnet",
    version,
    after_help = "\
Examples:
  decnet serve --demo                  # a demonstration of everything
  decnet subscription create --name siem --url https://siem.example/hook --pattern 'attacker.>'
  decnet publish attacker.observed '{\"ip\":\"203.0.113.7\"}'
  decnet status --watch                # the progress of deliveries
  decnet check                         # effective settings and problems

Exit codes: 0 done, 1 failed, 2 invalid usage or configuration. Times are UTC."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command accepts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The directory of the catalog and the queue [default: DECNET_DATA_DIR, /var/lib/decnet or ~/.decnet]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The INI file [default: DECNET_CONFIG or /etc/decnet/decnet.ini]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: clap::ColorChoice,
}

/// The commands, in the order of the [groups].
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "a process has one value of it")]
pub(crate) enum Command {
    Serve(serve::Args),
    Bus(bus::Args),
    Webhook(webhook::Args),
    Api(api::Args),
    #[command(subcommand)]
    Subscription(subscription::Command),
    Publish(publish::Args),
    Receive(receive::Args),
    Watch(watch::Args),
    Status(status::Args),
    #[command(subcommand)]
    Delivery(delivery::Command),
    Explain(explain::Args),
    Audit(audit::Args),
    Check(check::Args),
    #[command(subcommand)]
    Token(token::Command),
    #[command(subcommand)]
    Key(key::Command),
    Clock(clock::Args),
    Backup(backup::Args),
    Restore(restore::Args),
    Erase(erase::Args),
    Init(init::Args),
    Bench(bench::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Docs(docs::Args),
}

impl Cli {
    /// Parses the arguments. On an agent the master's commands are neither listed nor accepted.
    ///
    /// # Errors
    /// Invalid arguments; `--help` and `--version`, which clap treats as errors; a command of the master on an agent.
    pub(crate) fn parse_as(arguments: &[OsString], is_agent: bool) -> anyhow::Result<Self> {
        let mut command = Self::command();
        if is_agent {
            let is_offered = |child: &clap::Command| ON_AGENTS.contains(&child.get_name());
            command =
                command.mut_subcommands(|child| if is_offered(&child) { child } else { child.hide(true) });
        }
        let matches = groups::grouped(command).try_get_matches_from(arguments)?;
        let refused = matches.subcommand_name().filter(|name| is_agent && !ON_AGENTS.contains(name));
        let refused = refused.map(|name| {
            Usage::new(format!(
                "`decnet {name}` runs on the master only, and this host is configured as an agent (DECNET_MODE=agent); on a \
                 host that is both, set DECNET_DISALLOW_MASTER=false"
            ))
        });
        refused.map_or(Ok(()), Err)?;
        Ok(Self::from_arg_matches(&matches)?)
    }
}

/// Returns the file that `--config` names. The path is needed before the arguments are parsed: the file may set the mode, which
/// determines the help text.
pub(crate) fn config_argument(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    None
}

impl Command {
    /// Returns whether the command runs until it is stopped.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Api(_) | Self::Webhook(_) | Self::Bus(_))
    }

    /// Returns whether the command must start a second process that continues in the background.
    pub(crate) fn must_detach(&self) -> bool {
        match self {
            Self::Api(args) => args.detach.is_wanted(),
            Self::Webhook(args) => args.detach.is_wanted(),
            Self::Bus(args) => args.detach.is_wanted(),
            _ => false,
        }
    }

    /// Returns what the command uses of the configuration and of the data.
    pub(crate) fn uses(&self) -> Uses {
        let worker = Uses { catalog: true, requests: true, secrets: true, ..Uses::default() };
        let data = Uses { catalog: true, services_data: true, ..Uses::default() };
        match self {
            Self::Serve(args) => Uses { catalog: !args.demo, api: true, temporary_data: args.demo, ..worker },
            Self::Api(_) => Uses { api: true, ..worker },
            Self::Webhook(_) => worker,
            Self::Bus(_) => Uses { secrets: true, ..Uses::default() },
            Self::Check(args) => {
                let (api, requests) = (args.includes_api(), args.includes_everything());
                Uses { api, requests, secrets: true, ..data }
            }
            Self::Subscription(subscription::Command::Test(_)) => Uses { requests: true, ..data },
            Self::Subscription(_) | Self::Delivery(_) | Self::Status(_) | Self::Explain(_) => data,
            Self::Token(_)
            | Self::Audit(_)
            | Self::Key(_)
            | Self::Clock(_)
            | Self::Backup(_)
            | Self::Restore(_)
            | Self::Erase(_) => data,
            Self::Publish(_) | Self::Receive(_) | Self::Watch(_) | Self::Init(_) => Uses::default(),
            Self::Bench(_) | Self::Completions(_) | Self::Docs(_) => Uses::default(),
        }
    }
}
