//! The state that all requests share.

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

use crate::auth::{Gate, Network, RateLimiter};
use crate::group_commit::GroupCommit;
use crate::jobs::Jobs;
use crate::metrics::{Metrics, Requests};
use crate::options::Options;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::problem::Problem;
use crate::routes::{Readiness, Searches, erasures, redeliveries};
use crate::single_flight::SingleFlight;
use crate::worker_notify::WorkerNotifier;

const MINUTE: Duration = Duration::from_secs(60);

/// The state that all requests share.
pub(crate) struct State {
    /// Authentication, authorization and rate limits.
    pub(crate) gate: Arc<Gate>,
    /// The subscriptions and tokens.
    pub(crate) catalog: Pool<Catalog>,
    /// The directory of the queue.
    pub(crate) data_dir: PathBuf,
    /// Readers of the queue.
    pub(crate) queue: Pool<Reader>,
    /// Searches for events in the queue.
    pub(crate) searches: Searches,
    /// Notifications to the worker.
    pub(crate) notifier: WorkerNotifier,
    /// Writers of the queue.
    pub(crate) operators: Pool<Operator>,
    /// Submission of events to the queue.
    pub(crate) group_commit: GroupCommit,
    /// Operations that only the dispatcher can perform.
    pub(crate) outbound: Arc<dyn Outbound>,
    /// The writer of the metrics page.
    pub(crate) metrics: Arc<dyn Metrics>,
    /// Request metrics.
    pub(crate) requests: Arc<Requests>,
    /// Erasure jobs.
    pub(crate) erasures: Jobs<erasures::Progress>,
    /// Redelivery jobs.
    pub(crate) redeliveries: Jobs<redeliveries::Progress>,
    /// The rate limit of creations through DECNET's route, if any.
    pub(crate) creations: Option<RateLimiter<Network>>,
    /// The last readiness check.
    pub(crate) readiness: SingleFlight<Readiness>,
    /// The active subscriptions.
    pub(crate) active: SingleFlight<Active>,
}

/// The state as handlers receive it.
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
        let notifier = WorkerNotifier::new(sockets, nudge);
        Self {
            group_commit: GroupCommit::new(operators.clone(), notifier.clone()),
            operators,
            gate: Arc::new(Gate::new(access, open_catalog.clone())),
            catalog: Pool::new(MAX_API_CATALOG_READERS, open_catalog, Catalog::is_current),
            data_dir,
            queue: Pool::new(MAX_API_QUEUE_READERS, open_reader, Reader::is_current),
            searches: Searches::new(API_EXPLAIN_TIMEOUT, open_searcher),
            notifier,
            outbound,
            metrics,
            requests: Arc::default(),
            erasures: Jobs::new(("erasure", "erasures"), MAX_API_ERASURES),
            redeliveries: Jobs::new(("redelivery", "redeliveries"), MAX_API_REDELIVERIES),
            creations: limits_creations.then(|| RateLimiter::new(MAX_API_CREATIONS_PER_MINUTE, MINUTE)),
            readiness: SingleFlight::default(),
            active: SingleFlight::default(),
        }
    }
}

impl State {
    /// Changes the catalog. Returns once the worker routes every later event by the change: it is recorded in the queue, for
    /// events over HTTP, and the bus has read the signal. If either fails or takes too long, the change stands. Runs to its
    /// end even if the caller is gone.
    ///
    /// # Errors
    /// Errors of `work`, or a catalog that cannot be used.
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
            state.active.invalidate();
            state.note_change().await;
            state.notifier.subscriptions_changed().await;
            Ok(changed)
        });
        change
            .await
            .unwrap_or_else(|error| Err(Problem::internal("a change of the catalog was aborted", &error)))
    }

    async fn note_change(&self) {
        let data_dir = self.data_dir.clone();
        match tokio::task::spawn_blocking(move || note_change(&data_dir)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    %error,
                    "cannot record a subscription change in the queue; events over HTTP may be routed without it for \
                     up to a minute"
                );
            }
            Err(error) => {
                tracing::error!(%error, "recording a subscription change in the queue was aborted");
            }
        }
    }
}
