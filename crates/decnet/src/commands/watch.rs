//! `decnet watch`.

use crate::context::Context;

/// Prints events.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet watch")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet watch` is not built yet")
}
