//! `decnet docs`: documentation generated from the code.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::{config, output};

/// Prints a generated page of the documentation or writes the manual pages.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet docs configuration > docs/configuration.md
  decnet docs openapi > docs/openapi.json
  decnet docs man target/man")]
pub(crate) struct Args {
    /// The page
    page: Page,
    /// The directory for the manual pages; only with `man`
    #[arg(required_if_eq("page", "man"))]
    directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// docs/configuration.md
    Configuration,
    /// docs/openapi.json
    Openapi,
    /// A manual page for each command
    Man,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match (args.page, &args.directory) {
        (Page::Man, Some(directory)) => manual(directory),
        (Page::Openapi, _) => output::raw(decnet_api::document_json().as_bytes()),
        (Page::Configuration | Page::Man, _) => output::raw(config::page().as_bytes()),
    }
}

/// Writes a page for each visible command, such as `decnet-subscription-create.1`.
fn manual(directory: &Path) -> anyhow::Result<()> {
    let written = || -> std::io::Result<()> {
        std::fs::create_dir_all(directory)?;
        for (name, page) in pages()? {
            std::fs::write(directory.join(name), page)?;
        }
        Ok(())
    };
    written().with_context(|| format!("cannot write the manual to {}", directory.display()))
}

/// Returns file names and contents. Global flags appear only on the page of `decnet`.
fn pages() -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    let mut pending = vec![(command, "decnet".to_owned())];
    while let Some((command, name)) = pending.pop() {
        let visible = command.get_subcommands().filter(|child| !child.is_hide_set());
        pending.extend(visible.map(|child| (child.clone(), format!("{name}-{}", child.get_name()))));
        let man = clap_mangen::Man::new(command.display_name(name.clone()))
            .title(name.to_uppercase())
            .manual("decnet")
            .source(concat!("decnet ", env!("CARGO_PKG_VERSION")));
        let mut page = Vec::new();
        man.render(&mut page)?;
        pages.push((format!("{name}.1"), page));
    }
    pages.sort();
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(command: &clap::Command, name: &str, names: &mut Vec<String>) {
        if !command.is_hide_set() {
            names.push(format!("{name}.1"));
            for child in command.get_subcommands() {
                self::names(child, &format!("{name}-{}", child.get_name()), names);
            }
        }
    }

    #[test]
    fn every_command_has_a_page_with_examples() {
        let pages = pages().unwrap();
        let mut expected = Vec::new();
        names(&Cli::command(), "decnet", &mut expected);
        expected.sort();
        assert_eq!(
            pages.iter().map(|(name, _)| name).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        for (name, page) in &pages {
            let page = String::from_utf8_lossy(page);
            for part in [".SH NAME", ".SH SYNOPSIS", "Examples:"] {
                assert!(page.contains(part), "{name} lacks {part}");
            }
        }
    }
}
