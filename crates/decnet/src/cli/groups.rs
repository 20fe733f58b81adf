//! What `decnet --help` says: the commands by what a reader wants to do, not one long list.
//!
//! clap has no headings for commands, so the list is written here, from the tree as it is, into the template of its help.
//! Its styles are kept where help goes to a terminal and taken out elsewhere, as clap does with its own.

use std::fmt::Write as _;

/// The headings in the order of a reader's questions, and what stands below each. Every command stands in one.
pub(super) const GROUPS: [(&str, &[&str]); 5] = [
    ("Run", &["serve", "bus", "webhook", "api"]),
    ("Subscribe, publish, receive", &["subscription", "publish", "receive", "watch"]),
    ("See what became of it", &["status", "delivery", "explain"]),
    ("Look after it", &["check", "token", "clock", "backup", "restore", "erase"]),
    ("Set up", &["init", "bench", "completions", "help"]),
];
/// What clap adds by itself, and only once it has parsed.
const HELP: (&str, &str) = ("help", "Shows the help of a command: decnet help delivery list");

/// The tree with its commands in groups.
pub(super) fn grouped(command: clap::Command) -> clap::Command {
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{}{header}Options:{header:#}\n{{options}}{{after-help}}",
        list(&command),
        header = command.get_styles().get_header()
    );
    command.help_template(template)
}

/// Every command that is offered, with what it is for.
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

/// What a command is for, where it is offered.
fn about(command: &clap::Command, name: &str) -> Option<String> {
    match command.find_subcommand(name) {
        Some(child) if child.is_hide_set() => None,
        Some(child) => Some(child.get_about()?.to_string()),
        None => (name == HELP.0).then(|| HELP.1.to_owned()),
    }
}
