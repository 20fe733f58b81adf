//! What a redelivery does, step by step.

use std::sync::Arc;
use std::time::Duration;

use decnet_core::limits::OPERATOR_STEP_ROWS;
use decnet_store::queue::{DeliveryId, Filter, Reader, Redelivery};
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::jobs::{End, Handle};
use crate::problem::Problem;
use crate::state::Shared;

/// How often the worker is told of new deliveries, at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(500);

/// What to send again.
pub(super) enum What {
    Ids(Vec<DeliveryId>),
    Filter(Box<Filter>),
}

/// A redelivery to be started.
pub(super) struct Plan {
    pub(super) what: What,
    pub(super) rate: u32,
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
    /// How many of those chosen were seen to.
    done: usize,
    /// How many new deliveries were made: fewer than `done` where some were removed or erased meanwhile.
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
        self.state.signal.changed();
        result
    }

    async fn redeliver(&self, Plan { what, rate, dry_run }: Plan) -> Result<End, Problem> {
        let Some(mut redelivery) = self.choose(what).await? else { return Ok(End::Cancelled) };
        self.handle.tell(|told| {
            told.total = Some(redelivery.total());
            told.skipped_not_final = Some(redelivery.not_final());
        });
        let pause = Duration::from_secs(1).mul_f64(OPERATOR_STEP_ROWS as f64 / f64::from(rate));
        let (mut due, mut told) = (Instant::now(), Instant::now());
        while !dry_run && redelivery.done() < redelivery.total() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.handle.cancelled() => return Ok(End::Cancelled),
            }
            due = due.max(Instant::now()) + pause;
            redelivery = self.step(redelivery).await?;
            if told.elapsed() >= SIGNAL_INTERVAL {
                told = Instant::now();
                self.state.signal.changed();
            }
        }
        Ok(End::Done)
    }

    /// On a thread and with a connection of its own: a look at all of the queue takes long, and holds no other request up.
    async fn choose(&self, what: What) -> Result<Option<Redelivery>, Problem> {
        let (state, handle) = (Arc::clone(&self.state), self.handle.clone());
        let choose = move || -> Result<_, Problem> {
            let reader = Reader::open(&state.data_dir)?;
            Ok(match what {
                What::Ids(ids) => Some(Redelivery::of(ids, &reader)?),
                What::Filter(filter) => Redelivery::choose(&reader, &filter, || !handle.is_cancelled())?,
            })
        };
        let chosen = tokio::task::spawn_blocking(choose).await;
        chosen.unwrap_or_else(|error| Err(Problem::internal("a redelivery broke off", &error)))
    }

    async fn step(&self, mut redelivery: Redelivery) -> Result<Redelivery, Problem> {
        let step = self.state.operators.run(move |operator| {
            let made = redelivery.step(operator)?.unwrap_or_default();
            Ok::<_, decnet_store::queue::Error>((redelivery, made.len()))
        });
        let (redelivery, made) = step.await?;
        self.handle.tell(|told| {
            told.done = redelivery.done();
            told.redelivered += made;
        });
        Ok(redelivery)
    }
}
