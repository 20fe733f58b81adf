//! The steps of a redelivery.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use decnet_core::limits::API_JOB_RETRY_INTERVAL;
use decnet_runtime::sync::lock;
use decnet_store::queue::{ActiveSubscriptions, DeliveryId, Filter, Reader, Redelivery, RedeliveryStep};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::jobs::{End, Handle};
use crate::problem::Problem;
use crate::routes::deliveries;
use crate::state::Shared;

/// The minimum interval between signals to the worker about new deliveries.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(500);

/// The deliveries to redeliver.
pub(super) enum What {
    /// Deliveries by id, to subscriptions that exist.
    Ids(Vec<DeliveryId>, ActiveSubscriptions),
    Filter(Box<Filter>),
}

/// Progress of a redelivery.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = RedeliveryProgress)]
pub(crate) struct Progress {
    /// Number of selected deliveries; null until known.
    total: Option<usize>,
    /// Number of matching deliveries skipped because they are not final, so they are still being sent. Null until known.
    skipped_not_final: Option<usize>,
    /// Number of matching deliveries skipped because a later delivery of the same event to the same subscription supersedes
    /// them. Null until known.
    skipped_superseded: Option<usize>,
    /// Number of matching deliveries skipped because their subscription is deleted. Null until known.
    skipped_deleted: Option<usize>,
    /// Number of selected deliveries that were processed.
    done: usize,
    /// Number of new deliveries: fewer than `done` if deliveries were removed, erased or redelivered while the job ran,
    /// or if their subscription was deleted.
    redelivered: usize,
}

/// A redelivery in progress.
pub(super) struct Run {
    pub(super) state: Shared,
    pub(super) handle: Handle<Progress>,
}

impl Run {
    /// Redelivers `rate` deliveries per second, or only counts them.
    pub(super) async fn run(self, what: What, rate: NonZeroU32, dry_run: bool) -> Result<End, Problem> {
        let result = self.redeliver(what, rate, dry_run).await;
        self.state.notifier.queue_changed();
        result
    }

    async fn redeliver(&self, what: What, rate: NonZeroU32, dry_run: bool) -> Result<End, Problem> {
        let Some(redelivery) = self.choose(what).await? else { return Ok(End::Cancelled) };
        self.handle.report(|progress| {
            progress.total = Some(redelivery.total());
            progress.skipped_not_final = Some(redelivery.not_final);
            progress.skipped_superseded = Some(redelivery.superseded);
            progress.skipped_deleted = Some(redelivery.deleted);
        });
        if dry_run { Ok(End::Done) } else { self.go(redelivery, rate).await }
    }

    /// Runs all steps. A temporary failure is retried, since a failed job could not be resumed.
    async fn go(&self, redelivery: Redelivery, rate: NonZeroU32) -> Result<End, Problem> {
        let redelivery = Arc::new(Mutex::new(redelivery));
        let (mut due, mut signalled_at) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.handle.cancel.cancelled() => return Ok(End::Cancelled),
            }
            due = Instant::now();
            match self.step(&redelivery, rate).await {
                Ok(Some(pause)) => due += pause,
                Ok(None) => return Ok(End::Done),
                Err(problem) if problem.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    self.handle.report_wait(&problem);
                    due = Instant::now() + API_JOB_RETRY_INTERVAL;
                }
                Err(problem) => return Err(problem),
            }
            if signalled_at.elapsed() >= SIGNAL_INTERVAL {
                signalled_at = Instant::now();
                self.state.notifier.queue_changed();
            }
        }
    }

    /// Selects the deliveries on its own blocking thread: a scan of the whole queue is slow and must not delay other requests.
    async fn choose(&self, what: What) -> Result<Option<Redelivery>, Problem> {
        let (state, handle) = (Arc::clone(&self.state), self.handle.clone());
        let choose = move || -> Result<_, Problem> {
            let reader = Reader::open(&state.data_dir)?;
            Ok(match what {
                What::Ids(ids, active) => Some(Redelivery::of(&ids, &reader, &active)?),
                What::Filter(filter) => {
                    Redelivery::select(&reader, &filter, || !handle.cancel.is_cancelled())?
                }
            })
        };
        let chosen = tokio::task::spawn_blocking(choose).await;
        chosen.unwrap_or_else(|error| Err(Problem::internal("the redelivery was aborted", &error)))
    }

    /// Runs one step. Returns the pause from its beginning to the next step, or `None` at the end.
    async fn step(
        &self,
        redelivery: &Arc<Mutex<Redelivery>>,
        rate: NonZeroU32,
    ) -> Result<Option<Duration>, Problem> {
        let (redelivery, active) = (Arc::clone(redelivery), deliveries::active(&self.state).await?);
        let step = self.state.queue_writers.run(move |writer| {
            let mut redelivery = lock(&redelivery);
            let step = redelivery.step(writer, rate, &active)?;
            Ok::<_, decnet_store::queue::Error>(step.map(|step| (step, redelivery.done())))
        });
        let Some((RedeliveryStep { made, pause }, done)) = step.await? else { return Ok(None) };
        self.handle.report(|progress| {
            progress.done = done;
            progress.redelivered += made.len();
        });
        Ok(Some(pause))
    }
}
