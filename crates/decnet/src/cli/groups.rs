//! The help text of `decnet --help`, with the commands grouped by task.
//!
//! clap does not support headings for commands, so this module generates the list from the tree and puts it into clap's help
//! template. clap removes the styles if the output is not a terminal.

use std::fmt::Write as _;

/// The headings and their commands. Every command is in exactly one group.
pub(super) const GROUPS: [(&str, &[&str]); 5] = [
    ("Run", &["serve", "bus", "webhook", "api"]),
    ("Subscribe, publish, receive", &["subscription", "publish", "receive", "watch"]),
    ("Monitor", &["status", "delivery", "explain", "audit"]),
    ("Maintain", &["check", "token", "key", "clock", "backup", "restore", "erase"]),
    ("Set up", &["init", "bench", "completions", "help"]),
];
/// The command that clap adds only when it parses.
const HELP: (&str, &str) = ("help", "Shows the help of a command: decnet help delivery list");

/// Returns the tree with a help template that lists the commands in groups.
pub(super) fn grouped(command: clap::Command) -> clap::Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{header}Options:{header:#}\n{{options}}{{after-help}}",
        list(&command),
        header = command.get_styles().get_header()
    );
    command.help_template(template)
}

/// Returns the visible commands with their descriptions, in groups.
fn list(command: &clap::Command) -> String {
    let (header, literal) = (command.get_styles().get_header(), command.get_styles().get_literal());
    let width = GROUPS.iter().flat_map(|(_, names)| *names).map(|name| name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (title, names) in GROUPS {
        let offered: Vec<_> = names.iter().filter_map(|name| Some((name, about(command, name)?))).collect();
        if offered.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{header}{title}:{header:#}");
        for (name, about) in offered {
            let _ = writeln!(text, "  {literal}{name}{literal:#}{:1$}{about}", "", width - name.len() + 2);
        }
        text.push('\n');
    }
    text
}

/// Returns the description of a command, or `None` if the command is hidden.
fn about(command: &clap::Command, name: &str) -> Option<String> {
    match command.find_subcommand(name) {
        Some(child) if child.is_hide_set() => None,
        Some(child) => Some(child.get_about()?.to_string()),
        None => (name == HELP.0).then(|| HELP.1.to_owned()),
    }
}
