//! What every request shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use decnet_core::limits::{MAX_API_CATALOG_READERS, MAX_API_CREDENTIAL_READERS, MAX_API_QUEUE_READERS};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Create};
use decnet_store::queue::Reader;

use crate::auth::Gate;
use crate::options::Options;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::routes::webhooks::Creations;
use crate::signal::Signal;

/// What every request shares.
pub(crate) struct State {
    /// Who may ask for what.
    pub(crate) gate: Gate,
    /// The same catalog, for looking credentials up: whoever waits for a long list holds nobody else up.
    pub(crate) credentials: Pool<Catalog>,
    /// Who is subscribed.
    pub(crate) catalog: Pool<Catalog>,
    /// Where the queue is.
    pub(crate) data_dir: PathBuf,
    /// What is owed.
    pub(crate) queue: Pool<Reader>,
    /// The word to the worker that something has changed.
    pub(crate) signal: Signal,
    /// What only the dispatcher can do.
    pub(crate) outbound: Arc<dyn Outbound>,
    /// Who has made how many subscriptions through DECNET's routes.
    pub(crate) creations: Creations,
}

/// The state as handlers take it.
pub(crate) type Shared = Arc<State>;

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let Options { catalog, data_dir, sockets, outbound, access } = options;
        let open_catalog = move || Ok(Catalog::open(&catalog, Create::Never)?);
        let open_credentials = open_catalog.clone();
        let queue_dir = data_dir.clone();
        let open_reader = move || Ok(Reader::open(&queue_dir)?);
        Self {
            gate: Gate::new(access),
            credentials: Pool::new(MAX_API_CREDENTIAL_READERS, open_credentials),
            catalog: Pool::new(MAX_API_CATALOG_READERS, open_catalog),
            data_dir,
            queue: Pool::new(MAX_API_QUEUE_READERS, open_reader),
            signal: Signal::new(sockets),
            outbound,
            creations: Creations::default(),
        }
    }
}

/// The time.
pub(crate) fn now() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMicros(0).after(since_epoch.unwrap_or_default())
}
