//! `decnet check`.

use crate::context::Context;

/// Checks the configuration.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet check")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(
    _args: &Args,
    _found: crate::config::Found,
    _context: &Context,
) -> anyhow::Result<()> {
    anyhow::bail!("`decnet check` is not built yet")
}
