//! `decnet receive`.

use crate::context::Context;

/// Receives webhooks.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet receive")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet receive` is not built yet")
}
