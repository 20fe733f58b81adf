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
        (Page::Man, Some(directory)) => write_manual(directory)
            .with_context(|| format!("cannot write the manual to {}", directory.display())),
        (Page::Openapi, _) => output::raw(decnet_api::document_json().as_bytes()),
        (Page::Configuration | Page::Man, _) => output::raw(config::page().as_bytes()),
    }
}

/// Writes a page for each visible command, such as `decnet-subscription-create.1`. Global flags appear only on the page of
/// `decnet`.
fn write_manual(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_page(command, directory)
}

fn write_page(command: clap::Command, directory: &Path) -> std::io::Result<()> {
    let children: Vec<_> = command.get_subcommands().filter(|child| !child.is_hide_set()).cloned().collect();
    let name = command.get_display_name().unwrap_or("decnet").to_uppercase();
    let source = concat!("decnet ", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command).title(name).manual("decnet").source(source).generate_to(directory)?;
    children.into_iter().try_for_each(|child| write_page(child, directory))
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
        let dir = tempfile::tempdir().unwrap();
        write_manual(dir.path()).unwrap();
        let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        let mut expected = Vec::new();
        names(&Cli::command(), "decnet", &mut expected);
        files.sort();
        expected.sort();
        assert_eq!(files, expected);
        for name in files {
            let page = std::fs::read_to_string(dir.path().join(&name)).unwrap();
            assert!(
                page.contains(&format!(".TH {} 1", name.trim_end_matches(".1").to_uppercase())),
                "{page}"
            );
            for part in [".SH NAME", ".SH SYNOPSIS", "Examples:"] {
                assert!(page.contains(part), "{name} lacks {part}");
            }
        }
    }
}
