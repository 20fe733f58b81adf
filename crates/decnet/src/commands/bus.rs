//! `decnet bus`.

use crate::context::Context;

/// Runs the event bus.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet bus")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet bus` is not built yet")
}
