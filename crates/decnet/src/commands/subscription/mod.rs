//! `decnet subscription`.

use crate::context::Context;

/// Lists and changes the subscriptions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  decnet subscription")]
pub(crate) struct Args {}

#[expect(clippy::unused_async, reason = "a stub")]
pub(crate) async fn run(_args: Args, _context: &Context) -> anyhow::Result<()> {
    anyhow::bail!("`decnet subscription` is not built yet")
}
