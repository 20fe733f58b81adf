//! What every request shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use decnet_core::limits::{
    MAX_API_CATALOG_READERS, MAX_API_CREDENTIAL_READERS, MAX_API_ERASURES, MAX_API_QUEUE_READERS,
    MAX_API_QUEUE_WRITERS, MAX_API_REDELIVERIES,
};
use decnet_core::time::UnixMicros;
use decnet_store::catalog::{Catalog, Create};
use decnet_store::queue::{Operator, Reader};

use crate::auth::Gate;
use crate::jobs::Jobs;
use crate::metrics::{Metrics, Requests};
use crate::options::Options;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::routes::webhooks::Creations;
use crate::routes::{erasures, redeliveries};
use crate::signal::Signal;
use crate::submitter::Submitter;

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
    /// The same, for looking for events: whoever waits for that holds no other request up.
    pub(crate) explanations: Pool<Reader>,
    /// The word to the worker that something has changed.
    pub(crate) signal: Signal,
    /// Old events are sent again through these, and payloads erased.
    pub(crate) operators: Pool<Operator>,
    /// The way of new events into the queue.
    pub(crate) submitter: Submitter,
    /// What only the dispatcher can do.
    pub(crate) outbound: Arc<dyn Outbound>,
    /// Who writes the page of metrics.
    pub(crate) metrics: Arc<dyn Metrics>,
    /// What is counted of all requests.
    pub(crate) requests: Arc<Requests>,
    /// Erasures.
    pub(crate) erasures: Jobs<erasures::Progress>,
    /// Redeliveries of many.
    pub(crate) redeliveries: Jobs<redeliveries::Progress>,
    /// Who has made how many subscriptions through DECNET's routes.
    pub(crate) creations: Creations,
}

/// The state as handlers take it.
pub(crate) type Shared = Arc<State>;

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let Options { catalog, data_dir, sockets, nudge, outbound, metrics, access } = options;
        let open_catalog = move || Ok(Catalog::open(&catalog, Create::Never)?);
        let open_credentials = open_catalog.clone();
        let queue_dir = data_dir.clone();
        let open_reader = move || Ok(Reader::open(&queue_dir)?);
        let open_searcher = open_reader.clone();
        let operator_dir = data_dir.clone();
        let open_operator = move || Ok(Operator::open(&operator_dir)?);
        let operators = Pool::new(MAX_API_QUEUE_WRITERS, open_operator);
        let signal = Signal::new(sockets, nudge);
        Self {
            submitter: Submitter::new(operators.clone(), signal.clone()),
            operators,
            gate: Gate::new(access),
            credentials: Pool::new(MAX_API_CREDENTIAL_READERS, open_credentials),
            catalog: Pool::new(MAX_API_CATALOG_READERS, open_catalog),
            data_dir,
            queue: Pool::new(MAX_API_QUEUE_READERS, open_reader),
            explanations: Pool::new(1, open_searcher),
            signal,
            outbound,
            metrics,
            requests: Arc::default(),
            erasures: Jobs::new(("erasure", "erasures"), MAX_API_ERASURES),
            redeliveries: Jobs::new(("redelivery", "redeliveries"), MAX_API_REDELIVERIES),
            creations: Creations::default(),
        }
    }
}

/// The time.
pub(crate) fn now() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    UnixMicros(0).after(since_epoch.unwrap_or_default())
}
