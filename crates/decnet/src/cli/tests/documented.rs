//! Tests that the documentation's commands and settings exist in this program.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use clap::error::ErrorKind;

use crate::cli::Cli;

/// Splits a shell command into words, up to a redirection, a comment or a pipe. The letter `x` replaces each command
/// substitution.
pub(super) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    let mut rest = line.trim_start().chars();
    while let Some(c) = rest.next() {
        match c {
            '\'' => quoted = !quoted,
            '"' if !quoted => {}
            '$' if !quoted && rest.as_str().starts_with('(') => {
                rest.by_ref().find(|c| *c == ')');
                word.push('x');
            }
            '#' if !quoted && word.is_empty() => break,
            '|' | '>' | '<' | ')' | ';' | '&' if !quoted => break,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = ["docs", "docs/destinations"].map(|folder| std::fs::read_dir(root.join(folder)).unwrap());
    let docs = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let pages = pages.chain(["README.md", "CONTRIBUTING.md"].map(|name| root.join(name)));
    pages.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Returns the commands in the code blocks of a page with `true`, and code within sentences, which may be abridged, with
/// `false`. Of a `console` block only the input is returned.
fn commands(page: &str) -> Vec<(String, bool)> {
    let (mut commands, mut fence, mut open) = (Vec::new(), None::<&str>, String::new());
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(language) };
            continue;
        }
        let typed = match fence {
            Some("console") => line.strip_prefix("$ ").or_else(|| (!open.is_empty()).then_some(line)),
            Some("sh") => Some(line),
            Some(_) => None,
            None => line.strip_prefix("    "),
        };
        match typed {
            Some(typed) => {
                open.push_str(typed.trim_end_matches('\\'));
                if !typed.ends_with('\\') {
                    commands.push((std::mem::take(&mut open), true));
                }
            }
            None if fence.is_none() => {
                commands.extend(line.split('`').skip(1).step_by(2).map(|code| (code.to_owned(), false)));
            }
            None => {}
        }
    }
    commands
}

/// Returns the `decnet` command within a line, without a preceding `sudo`, environment, container `exec` or assignment.
fn ours(command: &str) -> Option<&str> {
    let is_start = |before: &str, after: &str| {
        let leads = before.trim_end().rsplit(' ').next().unwrap_or_default();
        let is_called = ["$(", "/bin/", "/release/"].iter().any(|end| before.ends_with(end));
        let is_led = ["sudo", "decnet", "webhook", "|", "&&"].contains(&leads) || leads.contains('=');
        let is_user = ["decnet ", "env ", "/"].iter().any(|next| after.starts_with(next));
        !is_user && (before.is_empty() || is_called || before.ends_with(' ') && is_led)
    };
    let mut found = command.match_indices("decnet ").map(|(at, name)| (at, at + name.len()));
    found.find(|(at, end)| is_start(&command[..*at], &command[*end..])).map(|(at, _)| &command[at..])
}

#[test]
fn shell_lines_are_split_into_words() {
    assert_eq!(words("decnet publish a '{\"n\": 1}' | tail"), ["decnet", "publish", "a", "{\"n\": 1}"]);
    assert_eq!(words("decnet backup \"a-$(date +%F).tar\" && ls"), ["decnet", "backup", "a-x.tar"]);
    for (line, found) in [
        ("sudo -u decnet decnet check", Some("decnet check")),
        ("sudo -u decnet env A=b /usr/local/bin/decnet check", Some("decnet check")),
        ("TOKEN=$(decnet token list)", Some("decnet token list)")),
        ("docker compose exec webhook decnet check", Some("decnet check")),
        ("sudo apt remove decnet", None),
        ("docker build -t decnet .", None),
    ] {
        assert_eq!(ours(line), found, "{line}");
    }
}

#[test]
fn every_documented_command_parses() {
    let (mut tried, mut wrong) = (0, Vec::new());
    for (path, page) in pages() {
        for (command, is_whole) in commands(&page) {
            let Some(command) = ours(&command).filter(|command| !command.contains(['…', '['])) else {
                continue;
            };
            tried += 1;
            let Err(error) = Cli::command().try_get_matches_from(words(command)) else { continue };
            let is_unknown =
                matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand);
            if is_unknown || is_whole && error.exit_code() != 0 {
                wrong.push(format!("{}: {command}: {error}", path.display()));
            }
        }
    }
    assert!(tried > 100, "only {tried} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_reason_is_documented() {
    let (_, page) = pages().into_iter().find(|(path, _)| path.ends_with("delivery-guarantees.md")).unwrap();
    let reasons = page.split("## Reasons").nth(1).unwrap().split("## ").next().unwrap();
    for reason in decnet_core::delivery::Reason::ALL {
        assert!(reasons.contains(&format!("`{reason}`")), "{reason}");
    }
}

#[test]
fn every_documented_setting_exists() {
    let known = crate::config::page();
    for (path, page) in pages() {
        let names = page.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
        for name in names.filter(|name| name.starts_with("DECNET_") && !name.ends_with('_')) {
            assert!(known.contains(name), "{}: {name} is not a setting", path.display());
        }
    }
}
