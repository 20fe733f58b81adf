//! `decnet webhook`.

use crate::context::Context;

/// Runs the webhook worker: every event of the bus to every subscription that matches it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet webhook")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet webhook` is not built yet")
}
