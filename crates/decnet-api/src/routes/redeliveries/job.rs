//! What a redelivery does, step by step.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use decnet_core::limits::API_JOB_RETRY_INTERVAL;
use decnet_store::queue::{Active, DeliveryId, Filter, Reader, Redelivery, Step};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::jobs::{End, Handle};
use crate::problem::{Kind, Problem};
use crate::routes::deliveries;
use crate::state::Shared;

/// How often the worker is told of new deliveries, at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(500);

/// What to send again.
pub(super) enum What {
    /// These, to subscriptions that exist.
    Ids(Vec<DeliveryId>, Active),
    Filter(Box<Filter>),
}

/// A redelivery to be started.
pub(super) struct Plan {
    pub(super) what: What,
    pub(super) rate: NonZeroU32,
    pub(super) dry_run: bool,
}

/// How far a redelivery is.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(as = RedeliveryProgress)]
pub(crate) struct Progress {
    /// How many deliveries were chosen; null until that is known.
    total: Option<usize>,
    /// How many match the filter and are skipped: they are not final, and go out by themselves. Null until it is known.
    skipped_not_final: Option<usize>,
    /// How many match the filter and are skipped: they were sent again since, and a later delivery of the same event to the
    /// same subscription counts in their place. Null until it is known.
    skipped_superseded: Option<usize>,
    /// How many match the filter and are skipped: their subscription is deleted. Null until it is known.
    skipped_deleted: Option<usize>,
    /// How many of those chosen were seen to.
    done: usize,
    /// How many new deliveries were made: fewer than `done` where some were removed, erased or sent again meanwhile, or
    /// their subscription was deleted.
    redelivered: usize,
}

/// A redelivery under way.
pub(super) struct Run {
    pub(super) state: Shared,
    pub(super) handle: Handle<Progress>,
}

impl Run {
    pub(super) async fn run(self, plan: Plan) -> Result<End, Problem> {
        let result = self.redeliver(plan).await;
        self.state.signal.queue_changed();
        result
    }

    async fn redeliver(&self, Plan { what, rate, dry_run }: Plan) -> Result<End, Problem> {
        let Some(redelivery) = self.choose(what).await? else { return Ok(End::Cancelled) };
        self.handle.tell(|told| {
            told.total = Some(redelivery.total());
            told.skipped_not_final = Some(redelivery.not_final());
            told.skipped_superseded = Some(redelivery.superseded());
            told.skipped_deleted = Some(redelivery.deleted());
        });
        if dry_run { Ok(End::Done) } else { self.go(redelivery, rate).await }
    }

    /// Step after step. What passes does not end it: it could not be gone on with.
    async fn go(&self, redelivery: Redelivery, rate: NonZeroU32) -> Result<End, Problem> {
        let redelivery = Arc::new(Mutex::new(redelivery));
        let (mut due, mut told) = (Instant::now(), Instant::now());
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.handle.cancelled() => return Ok(End::Cancelled),
            }
            due = Instant::now();
            match self.step(&redelivery, rate).await {
                Ok(Some(pause)) => due += pause,
                Ok(None) => return Ok(End::Done),
                Err(problem) if problem.kind() == Kind::Unavailable => {
                    self.handle.waits_for(&problem);
                    due = Instant::now() + API_JOB_RETRY_INTERVAL;
                }
                Err(problem) => return Err(problem),
            }
            if told.elapsed() >= SIGNAL_INTERVAL {
                told = Instant::now();
                self.state.signal.queue_changed();
            }
        }
    }

    /// On a thread and with a connection of its own: a look at all of the queue takes long, and holds no other request up.
    async fn choose(&self, what: What) -> Result<Option<Redelivery>, Problem> {
        let (state, handle) = (Arc::clone(&self.state), self.handle.clone());
        let choose = move || -> Result<_, Problem> {
            let reader = Reader::open(&state.data_dir)?;
            Ok(match what {
                What::Ids(ids, active) => Some(Redelivery::of(&ids, &reader, &active)?),
                What::Filter(filter) => Redelivery::choose(&reader, &filter, || !handle.is_cancelled())?,
            })
        };
        let chosen = tokio::task::spawn_blocking(choose).await;
        chosen.unwrap_or_else(|error| Err(Problem::internal("a redelivery broke off", &error)))
    }

    /// How long to wait for the next one, from the beginning of this one; none where all is done.
    async fn step(
        &self,
        redelivery: &Arc<Mutex<Redelivery>>,
        rate: NonZeroU32,
    ) -> Result<Option<Duration>, Problem> {
        let (redelivery, active) = (Arc::clone(redelivery), deliveries::active(&self.state).await?);
        let step = self.state.operators.run(move |operator| {
            let mut redelivery = redelivery.lock().unwrap_or_else(PoisonError::into_inner);
            let step = redelivery.step(operator, rate, &active)?;
            Ok::<_, decnet_store::queue::Error>(step.map(|step| (step, redelivery.done())))
        });
        let Some((Step { made, pause }, done)) = step.await? else { return Ok(None) };
        self.handle.tell(|told| {
            told.done = done;
            told.redelivered += made.len();
        });
        Ok(Some(pause))
    }
}
