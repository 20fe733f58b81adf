//! The command line: the tree of commands and the global flags.

#[cfg(test)]
mod documented;
mod groups;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands::{
    api, backup, bench, bus, check, clock, completions, delivery, docs, erase, explain, init, publish,
    receive, restore, serve, status, subscription, token, watch, webhook,
};
use crate::failure::Usage;
use crate::output::Color;

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

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration. Times are UTC."
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
    /// The directory of the catalog and the queue [else DECNET_DATA_DIR, /var/lib/decnet or ~/.decnet]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The INI file [else DECNET_CONFIG or /etc/decnet/decnet.ini]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: Color,
}

/// The commands, in the order of the [groups].
#[derive(Debug, Subcommand)]
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
    Check(check::Args),
    #[command(subcommand)]
    Token(token::Command),
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
        refused.map_or(Ok(()), |name| Err(on_the_master_only(name)))?;
        Ok(Self::from_arg_matches(&matches)?)
    }
}

fn on_the_master_only(name: &str) -> Usage {
    Usage::new(format!(
        "`decnet {name}` runs on the master only, and this host is configured as an agent \
         (DECNET_MODE=agent); on a host that is both, set DECNET_DISALLOW_MASTER=false"
    ))
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
    pub(crate) fn is_to_detach(&self) -> bool {
        match self {
            Self::Api(args) => args.detach.is_wanted(),
            Self::Webhook(args) => args.detach.is_wanted(),
            Self::Bus(args) => args.detach.is_wanted(),
            _ => false,
        }
    }

    /// Returns whether the command opens the configured catalog; the demo has its own catalog.
    pub(crate) fn opens_catalog(&self) -> bool {
        match self {
            Self::Serve(args) => !args.demo,
            Self::Api(_) | Self::Webhook(_) => true,
            _ => self.looks_into_data(),
        }
    }

    /// Returns whether the command serves or checks the API, and therefore reads the API's settings.
    pub(crate) fn serves_api(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Api(_) => true,
            Self::Check(args) => args.asks_about_the_api(),
            _ => false,
        }
    }

    /// Returns whether the command sends requests to receivers, or checks the configuration of commands that do.
    pub(crate) fn sends(&self) -> bool {
        match self {
            Self::Serve(_) | Self::Api(_) | Self::Webhook(_) => true,
            Self::Check(args) => args.is_about_everything(),
            Self::Subscription(command) => matches!(command, subscription::Command::Test(_)),
            _ => false,
        }
    }

    /// Returns whether the command uses data that may belong to the services.
    pub(crate) fn looks_into_data(&self) -> bool {
        matches!(
            self,
            Self::Subscription(_)
                | Self::Delivery(_)
                | Self::Status(_)
                | Self::Explain(_)
                | Self::Check(_)
                | Self::Token(_)
                | Self::Clock(_)
                | Self::Backup(_)
                | Self::Restore(_)
                | Self::Erase(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::documented::words;
    use super::*;

    fn walk(command: &clap::Command, path: &str, visit: &mut impl FnMut(&str, &clap::Command)) {
        visit(path, command);
        for child in command.get_subcommands() {
            walk(child, &format!("{path} {}", child.get_name()), visit);
        }
    }

    #[test]
    fn command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_a_description_and_examples() {
        walk(&Cli::command(), "decnet", &mut |path, command| {
            assert!(command.get_about().is_some(), "{path} has no description");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:\n"), "{path} has no examples");
            assert!(after.contains(path), "{path} has examples of another command");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{path} does not describe {}", argument.get_id());
            }
        });
    }

    #[test]
    fn every_example_parses() {
        walk(&Cli::command(), "decnet", &mut |path, command| {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for line in after.lines() {
                assert!(line.chars().count() <= 98, "{path}: {line}: help is wrapped at 100 columns");
            }
            for line in after.lines().filter(|line| line.starts_with("  decnet ")) {
                let parsed = Cli::try_parse_from(words(line));
                assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
                assert!(
                    words(line).join(" ").len() <= 95,
                    "{path}: {line}: wrapped, it can no longer be copied"
                );
            }
        });
    }

    fn help(is_agent: bool) -> String {
        Cli::parse_as(&["decnet".into(), "--help".into()], is_agent).unwrap_err().to_string()
    }

    #[test]
    fn agent_help_omits_the_masters_commands() {
        let offered = |help: &str, name: &str| {
            help.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")))
        };
        for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
            let name = command.get_name();
            assert!(offered(&help(false), name), "{name}");
            assert_eq!(offered(&help(true), name), ON_AGENTS.contains(&name), "{name}");
        }
        assert!(offered(&help(true), "check") && offered(&help(true), "publish"));
    }

    #[test]
    fn agent_rejects_the_masters_commands() {
        let parsed = |name: &str, is_agent| Cli::parse_as(&["decnet".into(), name.into()], is_agent);
        let refused = parsed("webhook", true).unwrap_err();
        assert!(
            refused.is::<Usage>() && refused.to_string().contains("`decnet webhook` runs on the master only")
        );
        assert!(parsed("webhook", false).is_ok() && parsed("bus", true).is_ok());
    }

    #[test]
    fn every_command_is_listed_once_on_its_own_line() {
        let help = help(false);
        let tree = Cli::command();
        let offered =
            tree.get_subcommands().filter(|child| !child.is_hide_set()).map(clap::Command::get_name);
        let offered: Vec<_> = offered.chain(["help"]).collect();
        let grouped: Vec<_> = groups::GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        assert_eq!(grouped, offered, "the groups and the tree differ in commands or order");
        for name in offered {
            let lines = help.lines().filter(|line| line.starts_with(&format!("  {name} ")));
            assert_eq!(lines.map(str::len).filter(|length| *length <= 80).count(), 1, "{name}:\n{help}");
        }
        assert!(groups::GROUPS.iter().all(|(title, _)| help.contains(&format!("\n{title}:\n"))), "{help}");
    }

    #[test]
    fn config_is_found_before_the_arguments_are_parsed() {
        let found = |line: &str| config_argument(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(found("decnet --config a.ini check"), Some("a.ini".into()));
        assert_eq!(found("decnet check --config=b.ini"), Some("b.ini".into()));
        assert_eq!(found("decnet publish t -- --config x"), None);
    }
}
