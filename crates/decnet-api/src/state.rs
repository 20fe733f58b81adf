//! What every request shares.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::limits::{
    API_EXPLAIN_TIMEOUT, MAX_API_CATALOG_READERS, MAX_API_CREATIONS_PER_MINUTE, MAX_API_ERASURES,
    MAX_API_QUEUE_READERS, MAX_API_QUEUE_WRITERS, MAX_API_REDELIVERIES,
};
use decnet_store::catalog::{Catalog, Create};
pub(crate) use decnet_store::clock::now;
use decnet_store::queue::{Active, Operator, Reader, note_change};

use crate::auth::{Counts, Gate, Network};
use crate::jobs::Jobs;
use crate::metrics::{Metrics, Requests};
use crate::options::Options;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::problem::Problem;
use crate::remembered::Remembered;
use crate::routes::{Readiness, Searches, erasures, redeliveries};
use crate::signal::Signal;
use crate::submitter::Submitter;

const MINUTE: Duration = Duration::from_secs(60);

/// What every request shares.
pub(crate) struct State {
    /// Who may ask for what.
    pub(crate) gate: Arc<Gate>,
    /// Who is subscribed.
    pub(crate) catalog: Pool<Catalog>,
    /// Where the queue is.
    pub(crate) data_dir: PathBuf,
    /// What is owed.
    pub(crate) queue: Pool<Reader>,
    /// The same, for looking for events.
    pub(crate) searches: Searches,
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
    /// Who has made how many subscriptions through DECNET's routes; none where that is not limited.
    pub(crate) creations: Option<Counts<Network>>,
    /// Can all of this do its work?
    pub(crate) readiness: Remembered<Readiness>,
    /// Which subscriptions get events now.
    pub(crate) active: Remembered<Active>,
}

/// The state as handlers take it.
pub(crate) type Shared = Arc<State>;

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let Options { catalog, data_dir, sockets, nudge, outbound, metrics, access, limits_creations } =
            options;
        let open_catalog = move || Ok(Catalog::open(&catalog, Create::Never)?);
        let queue_dir = data_dir.clone();
        let open_reader = move || Ok(Reader::open(&queue_dir)?);
        let open_searcher = open_reader.clone();
        let operator_dir = data_dir.clone();
        let open_operator = move || Ok(Operator::open(&operator_dir)?);
        let operators = Pool::new(MAX_API_QUEUE_WRITERS, open_operator, Operator::is_current);
        let signal = Signal::new(sockets, nudge);
        Self {
            submitter: Submitter::new(operators.clone(), signal.clone()),
            operators,
            gate: Arc::new(Gate::new(access, open_catalog.clone())),
            catalog: Pool::new(MAX_API_CATALOG_READERS, open_catalog, Catalog::is_current),
            data_dir,
            queue: Pool::new(MAX_API_QUEUE_READERS, open_reader, Reader::is_current),
            searches: Searches::new(API_EXPLAIN_TIMEOUT, open_searcher),
            signal,
            outbound,
            metrics,
            requests: Arc::default(),
            erasures: Jobs::new(("erasure", "erasures"), MAX_API_ERASURES),
            redeliveries: Jobs::new(("redelivery", "redeliveries"), MAX_API_REDELIVERIES),
            creations: limits_creations.then(|| Counts::new(MAX_API_CREATIONS_PER_MINUTE, MINUTE)),
            readiness: Remembered::default(),
            active: Remembered::default(),
        }
    }
}

impl State {
    /// Changes the catalog, and returns once the worker routes every later event by it: the change is counted in the
    /// queue, for events over HTTP, and the bus has read the signal. Where either fails or takes too long the change
    /// stands. Goes on when whoever asked has gone.
    ///
    /// # Errors
    /// What `work` refuses, or a catalog that cannot be used.
    pub(crate) async fn change_catalog<R, E>(
        self: &Arc<Self>,
        work: impl FnOnce(&mut Catalog) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let state = Arc::clone(self);
        let change = tokio::spawn(async move {
            let changed = state.catalog.run(work).await?;
            state.active.forget();
            state.note_change().await;
            state.signal.subscriptions_changed().await;
            Ok(changed)
        });
        change.await.unwrap_or_else(|error| Err(Problem::internal("a change broke off", &error)))
    }

    async fn note_change(&self) {
        let data_dir = self.data_dir.clone();
        match tokio::task::spawn_blocking(move || note_change(&data_dir)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    %error,
                    "a change of the subscriptions cannot be counted in the queue; events over HTTP may be routed \
                     without it for up to a minute"
                );
            }
            Err(error) => {
                tracing::error!(%error, "a change of the subscriptions was not counted in the queue");
            }
        }
    }
}
