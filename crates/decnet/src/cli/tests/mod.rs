//! Tests of the command tree, its help and its examples.

mod documented;

use self::documented::words;
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
            assert!(words(line).join(" ").len() <= 95, "{path}: {line}: wrapped, it can no longer be copied");
        }
    });
}

fn help(is_agent: bool) -> String {
    Cli::parse_as(&["decnet".into(), "--help".into()], is_agent).unwrap_err().to_string()
}

#[test]
fn agent_help_omits_the_masters_commands() {
    let offered =
        |help: &str, name: &str| help.lines().any(|line| line.trim_start().starts_with(&format!("{name} ")));
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
    let offered = tree.get_subcommands().filter(|child| !child.is_hide_set()).map(clap::Command::get_name);
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
