//! `decnet docs`: pages that are made from the code, so that they cannot differ from it.

use crate::{config, output};

/// Prints a generated page of the documentation.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  decnet docs configuration > docs/configuration.md
  decnet docs openapi > docs/openapi.json")]
pub(crate) struct Args {
    /// Which page
    page: Page,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Page {
    /// docs/configuration.md
    Configuration,
    /// docs/openapi.json
    Openapi,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args.page {
        Page::Configuration => output::write(config::page().as_bytes()),
        Page::Openapi => output::write(decnet_api::document_json().as_bytes()),
    }
}
