//! The command line: the tree of commands, and the flags that all of them take.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    bus, check, completions, delivery, docs, publish, receive, serve, subscription, watch, webhook,
};
use crate::config::Config;
use crate::failure::Usage;
use crate::logging::Verbosity;
use crate::output::Color;

/// Commands that need the catalog, which an agent does not have.
const MASTER_ONLY: [&str; 4] = ["serve", "webhook", "subscription", "delivery"];

/// Delivers every event of a bus, durably and signed, to every webhook that subscribed to it.
#[derive(Debug, Parser)]
#[command(
    name = "decnet",
    version,
    after_help = "\
Examples:
  decnet serve --demo                  see it all at work
  decnet subscription create --name siem --url https://siem.example/hook --pattern 'attacker.>'
  decnet publish attacker.observed '{\"ip\":\"203.0.113.7\"}'
  decnet check                         what is in force, and what is wrong

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags that every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Where the catalog and the queue live [else DECNET_DATA_DIR, /var/lib/decnet or ~/.decnet]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The INI file [else DECNET_CONFIG or /etc/decnet/decnet.ini]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub(crate) config: Option<PathBuf>,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(serve::Args),
    Webhook(webhook::Args),
    Bus(bus::Args),
    Publish(publish::Args),
    Watch(watch::Args),
    Subscription(subscription::Args),
    Delivery(delivery::Args),
    Receive(receive::Args),
    Check(check::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Docs(docs::Args),
}

impl Cli {
    /// Parses; on an agent the master's commands are not offered.
    ///
    /// # Errors
    /// Wrong arguments, and also help and version, which clap counts as errors.
    pub(crate) fn parse_as(arguments: &[OsString], is_agent: bool) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        if is_agent {
            command = MASTER_ONLY.into_iter().fold(command, |tree, name| tree.mut_subcommand(name, hide));
        }
        Self::from_arg_matches(&command.try_get_matches_from(arguments)?)
    }
}

fn hide(command: clap::Command) -> clap::Command {
    command.hide(true)
}

/// What `--config` names. It is needed before the arguments are parsed: the mode, which the file may set,
/// decides what help shows.
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
    /// How much it logs by default.
    pub(crate) fn verbosity(&self) -> Verbosity {
        match self {
            Self::Serve(_) | Self::Webhook(_) | Self::Bus(_) => Verbosity::Daemon,
            _ => Verbosity::Command,
        }
    }

    /// The master's commands refuse to run on an agent.
    ///
    /// # Errors
    /// Why.
    pub(crate) fn refuse_on_agent(&self, config: &Config) -> Result<(), Usage> {
        let name = match self {
            Self::Serve(_) => "serve",
            Self::Webhook(_) => "webhook",
            Self::Subscription(_) => "subscription",
            Self::Delivery(_) => "delivery",
            _ => return Ok(()),
        };
        if !config.is_agent() {
            return Ok(());
        }
        Err(Usage::new(format!(
            "`decnet {name}` runs on the master only, and this host is configured as an agent \
             (DECNET_MODE=agent); on a host that is both, set DECNET_DISALLOW_MASTER=false"
        )))
    }
}
