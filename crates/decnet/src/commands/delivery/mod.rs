//! `decnet delivery`.

use crate::context::Context;

/// Lists deliveries and sends them again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet delivery")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet delivery` is not built yet")
}
