//! `decnet docs`: pages that are made from the code, so that they cannot differ from it.

use crate::{config, output};

/// Prints a generated page of the documentation.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet docs configuration > docs/configuration.md")]
pub(crate) struct Args {
    /// Which page
    page: Page,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// docs/configuration.md
    Configuration,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args.page {
        Page::Configuration => output::write(config::page().as_bytes()),
    }
}
