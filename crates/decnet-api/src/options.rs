//! The options of the API.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::auth::Access;
use crate::metrics::Metrics;
use crate::outbound::Outbound;
use decnet_store::vault::Keys;
use tokio::sync::Notify;

/// The options of the API.
pub struct Options {
    /// The catalog's file, which must exist.
    pub catalog: PathBuf,
    /// The keys that encrypt secrets in the catalog.
    pub keys: Keys,
    /// The directory of the queue, which the worker creates when it first runs.
    pub data_dir: PathBuf,
    /// The bus sockets to try in order; empty without a bus.
    pub sockets: Vec<PathBuf>,
    /// Notifies the worker in this process, if there is one, of submitted events.
    pub nudge: Option<Arc<Notify>>,
    /// The access configuration, except for the tokens in the catalog.
    pub access: Access,
    /// The worker's file with the table of severities, if it has one.
    pub severity_file: Option<Arc<Path>>,
    /// Whether DECNET's route to create subscriptions is limited per address and minute, as in DECNET.
    pub limits_creations: bool,
    /// Operations that only the dispatcher can perform.
    pub outbound: Arc<dyn Outbound>,
    /// The source of the worker's metrics.
    pub metrics: Arc<dyn Metrics>,
}
