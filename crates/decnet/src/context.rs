//! The context of every command.

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::output::Paint;

/// The context of every command.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// The validated configuration.
    pub(crate) config: Config,
    /// Cancelled by the first SIGINT or SIGTERM.
    pub(crate) shutdown: CancellationToken,
    /// The colours for stdout.
    pub(crate) paint: Paint,
}
