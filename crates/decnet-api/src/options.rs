//! What the API is told by the binary.

use std::path::PathBuf;
use std::sync::Arc;

use crate::auth::Access;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use tokio::sync::Notify;

/// What the API is told by the binary.
pub struct Options {
    /// The catalog's file, which is there.
    pub catalog: PathBuf,
    /// Where the queue is, or will be once the worker has run.
    pub data_dir: PathBuf,
    /// The bus's sockets to try, in order; none where there is no bus.
    pub sockets: Vec<PathBuf>,
    /// Rouses a worker in this process, where there is one, when events were submitted.
    pub nudge: Option<Arc<Notify>>,
    /// Who may use it, beside the tokens in the catalog.
    pub access: Access,
    /// Whether DECNET's route to create subscriptions is limited by address and minute, as DECNET's own is.
    pub limits_creations: bool,
    /// What only the dispatcher can do.
    pub outbound: Arc<dyn Outbound>,
    /// Who writes the page of metrics.
    pub metrics: Arc<dyn Metrics>,
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Options");
        shown.field("catalog", &self.catalog).field("data_dir", &self.data_dir);
        shown.field("sockets", &self.sockets).finish_non_exhaustive()
    }
}
