//! `decnet serve`.

use crate::context::Context;

/// Runs bus, worker and store in one process, under one data directory.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet serve")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet serve` is not built yet")
}
