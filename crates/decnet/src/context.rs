//! What every command is given.

use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::output::Paint;

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Checked.
    pub(crate) config: Config,
    /// Cancelled by the first SIGINT or SIGTERM.
    pub(crate) shutdown: CancellationToken,
    /// Colours for stdout, if they are wanted there.
    pub(crate) paint: Paint,
}
