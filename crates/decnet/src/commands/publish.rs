//! `decnet publish`.

use crate::context::Context;

/// Publishes events.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet publish")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet publish` is not built yet")
}
