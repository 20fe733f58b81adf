//! The state that all requests share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use decnet_core::limits::{
    API_EXPLAIN_TIMEOUT, DASHBOARD_ACTIVITY_TTL, MAX_API_CATALOG_READERS, MAX_API_CREATIONS_PER_MINUTE,
    MAX_API_ERASURES, MAX_API_QUEUE_READERS, MAX_API_QUEUE_WRITERS, MAX_API_REDELIVERIES,
};
pub(crate) use decnet_runtime::clock::now;
use decnet_store::catalog::{Actor, Catalog, Create};
use decnet_store::queue::{ActiveSubscriptions, ExternalWriter, Reader, record_catalog_change};

use crate::auth::{Gate, Network, Principal, RateLimiter};
use crate::group_commit::GroupCommit;
use crate::jobs::Jobs;
use crate::metrics::{Metrics, Requests};
use crate::options::Options;
use crate::outbound::Outbound;
use crate::pool::Pool;
use crate::problem::Problem;
use crate::routes::{Readiness, Searches, Topics, erasures, redeliveries};
use crate::single_flight::SingleFlight;
use crate::traffic::{Activity, Traffic};
use crate::worker_notify::WorkerNotifier;

const MINUTE: Duration = Duration::from_secs(60);

/// The warning about a change that the bus did not confirm.
const UNCONFIRMED: &str = "the bus did not confirm the change, so it may take up to a minute to apply to events on the bus; \
                           see the log of the API";
/// The warning about a change that could not be recorded in the queue.
const UNRECORDED: &str = "the change could not be recorded in the queue, so it may take up to a minute to apply to events \
                          over HTTP; see the log of the API";

/// The state that all requests share.
pub(crate) struct State {
    /// Authentication, authorization and rate limits.
    pub(crate) gate: Arc<Gate>,
    /// The subscriptions and tokens.
    pub(crate) catalog: Pool<Catalog>,
    /// The directory of the queue.
    pub(crate) data_dir: PathBuf,
    /// The worker's file with the table of severities, if it has one.
    pub(crate) severity_file: Option<Arc<Path>>,
    /// Readers of the queue.
    pub(crate) queue: Pool<Reader>,
    /// Searches for events in the queue.
    pub(crate) searches: Searches,
    /// Notifications to the worker.
    pub(crate) notifier: WorkerNotifier,
    /// Writers of the queue.
    pub(crate) queue_writers: Pool<ExternalWriter>,
    /// Submission of events to the queue.
    pub(crate) group_commit: GroupCommit,
    /// Operations that only the dispatcher can perform.
    pub(crate) outbound: Arc<dyn Outbound>,
    /// The source of the worker's metrics.
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
    pub(crate) active: SingleFlight<ActiveSubscriptions>,
    /// The topics of recent events.
    pub(crate) topics: SingleFlight<Arc<Topics>>,
    /// The worker's last traffic.
    pub(crate) traffic: SingleFlight<Traffic>,
    /// The last activity of subscriptions.
    pub(crate) activity: SingleFlight<Arc<Activity>>,
}

/// The result of a change of the catalog.
pub(crate) struct Changed<R> {
    pub(crate) value: R,
    /// The reasons why later events may be routed without the change for up to a minute.
    pub(crate) warnings: Vec<String>,
}

/// The state as handlers receive it.
pub(crate) type Shared = Arc<State>;

impl State {
    pub(crate) fn new(options: Options) -> Self {
        let (catalog, keys) = (options.catalog, options.keys);
        let open_catalog = move || Ok(Catalog::open(&catalog, Create::Never)?.with_keys(keys.clone()));
        let (queue_dir, writer_dir) = (options.data_dir.clone(), options.data_dir.clone());
        let open_reader = move || Ok(Reader::open(&queue_dir)?);
        let open_writer = move || Ok(ExternalWriter::open(&writer_dir)?);
        let queue_writers = Pool::new(MAX_API_QUEUE_WRITERS, open_writer, ExternalWriter::is_current);
        let notifier = WorkerNotifier::new(options.sockets, options.nudge);
        Self {
            group_commit: GroupCommit::new(queue_writers.clone(), notifier.clone()),
            queue_writers,
            gate: Arc::new(Gate::new(options.access, open_catalog.clone())),
            catalog: Pool::new(MAX_API_CATALOG_READERS, open_catalog, Catalog::is_current),
            data_dir: options.data_dir,
            severity_file: options.severity_file,
            queue: Pool::new(MAX_API_QUEUE_READERS, open_reader.clone(), Reader::is_current),
            searches: Searches::new(API_EXPLAIN_TIMEOUT, open_reader),
            notifier,
            outbound: options.outbound,
            metrics: options.metrics,
            requests: Arc::default(),
            erasures: Jobs::new(("erasure", "erasures"), MAX_API_ERASURES),
            redeliveries: Jobs::new(("redelivery", "redeliveries"), MAX_API_REDELIVERIES),
            creations: options
                .limits_creations
                .then(|| RateLimiter::new(MAX_API_CREATIONS_PER_MINUTE, MINUTE)),
            readiness: SingleFlight::default(),
            active: SingleFlight::default(),
            topics: SingleFlight::default(),
            traffic: SingleFlight::default(),
            activity: SingleFlight::lasting(DASHBOARD_ACTIVITY_TTL),
        }
    }

    /// Changes subscriptions as `requester`. Returns once the worker routes every later event by the change: it is recorded in the queue, for
    /// events over HTTP, and the bus has read the signal. If either fails or takes too long, the change stands, and the result
    /// has a warning. Runs to its end even if the caller is gone.
    ///
    /// # Errors
    /// Errors of `work`, or a catalog that cannot be used.
    pub(crate) async fn change_catalog<R, E>(
        self: &Arc<Self>,
        requester: &Principal,
        work: impl FnOnce(&mut Catalog) -> Result<R, E> + Send + 'static,
    ) -> Result<Changed<R>, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let (state, actor) = (Arc::clone(self), requester.actor());
        let change = tokio::spawn(async move {
            let value = state.act(&state.catalog, actor, work).await?;
            state.active.invalidate();
            let recorded = state.record_change().await;
            let confirmed = state.notifier.subscriptions_changed().await;
            let checks = [(recorded, UNRECORDED), (confirmed, UNCONFIRMED)];
            let failed = checks.into_iter().filter(|(is_done, _)| !is_done);
            Ok(Changed { value, warnings: failed.map(|(_, warning)| warning.to_owned()).collect() })
        });
        change
            .await
            .unwrap_or_else(|error| Err(Problem::internal("a change of the catalog was aborted", &error)))
    }

    /// Changes tokens or links as `actor`, with a connection from `pool`. Does not wait for the bus.
    ///
    /// # Errors
    /// Errors of `work`, or a catalog that cannot be used.
    pub(crate) async fn change_access<R, E>(
        &self,
        pool: &Pool<Catalog>,
        actor: Actor,
        work: impl FnOnce(&mut Catalog) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let done = self.act(pool, actor, work).await;
        self.notifier.entries_recorded();
        done
    }

    /// Runs a change as `actor`. The notifier gets the entries of the audit list for its next publication.
    async fn act<R, E>(
        &self,
        pool: &Pool<Catalog>,
        actor: Actor,
        work: impl FnOnce(&mut Catalog) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Problem>
    where
        R: Send + 'static,
        E: Into<Problem>,
    {
        let notifier = self.notifier.clone();
        let change = move |catalog: &mut Catalog| {
            let (done, entries) = catalog.acting_as(actor, work);
            notifier.keep(&entries);
            done
        };
        pool.run(change).await
    }

    /// Records a change in the queue. Returns whether it is recorded; a failure is logged.
    async fn record_change(&self) -> bool {
        let data_dir = self.data_dir.clone();
        match tokio::task::spawn_blocking(move || record_catalog_change(&data_dir)).await {
            Ok(Ok(())) => return true,
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
        false
    }
}
