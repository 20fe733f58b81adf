//! The jobs: how many there may be, how each goes on, and what is told of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use decnet_core::limits::{MAX_API_JOBS, OPERATOR_STEP_ROWS};
use decnet_store::queue::{DeliveryId, Filter, Redelivery};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::problem::{Kind, Problem};
use crate::state::{Shared, State, now};

/// How long the answer to a new job waits for it: a small one is over by then.
const HEAD_START: Duration = Duration::from_millis(500);
/// How often the worker is told of new deliveries, at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(500);

/// What to send again.
pub(super) enum What {
    Ids(Vec<DeliveryId>),
    Filter(Box<Filter>),
}

/// A job to be started.
pub(super) struct Plan {
    pub(super) what: What,
    pub(super) rate: u32,
    pub(super) dry_run: bool,
}

/// How far a job is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Job {
    id: String,
    status: Status,
    /// Does it only count?
    dry_run: bool,
    /// How many deliveries were chosen; null until that is known.
    total: Option<usize>,
    /// How many of them were seen to.
    done: usize,
    /// How many new deliveries were made: fewer than `done` where some were removed or erased meanwhile.
    redelivered: usize,
    /// Why it failed.
    error: Option<String>,
    started_at: String,
    ended_at: Option<String>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Running,
    Done,
    Cancelled,
    Failed,
}

/// All jobs, oldest first. Those that ended make room for new ones.
#[derive(Default)]
pub(crate) struct Jobs(Mutex<Known>);

#[derive(Default)]
struct Known {
    started: u64,
    jobs: VecDeque<Entry>,
}

struct Entry {
    progress: watch::Receiver<Job>,
    cancel: CancellationToken,
}

impl Jobs {
    /// Starts a job.
    ///
    /// # Errors
    /// Too many run already.
    pub(super) async fn start(&self, plan: Plan, state: &Shared) -> Result<Job, Problem> {
        let (progress, mut seen) = self.enter(plan.dry_run)?;
        let cancel = progress.1;
        tokio::spawn(Run { state: Arc::clone(state), progress: progress.0, cancel }.run(plan));
        let over = seen.wait_for(|job| job.status != Status::Running);
        // Whatever is known by then is told.
        drop(tokio::time::timeout(HEAD_START, over).await);
        let job = seen.borrow().clone();
        Ok(job)
    }

    pub(super) fn get(&self, id: &str) -> Option<Job> {
        self.known().find(id).map(|entry| entry.progress.borrow().clone())
    }

    pub(super) fn cancel(&self, id: &str) -> Option<Job> {
        let known = self.known();
        let entry = known.find(id)?;
        entry.cancel.cancel();
        let job = entry.progress.borrow().clone();
        Some(job)
    }

    #[expect(clippy::type_complexity, reason = "both ends of a channel, and what ends the job")]
    fn enter(
        &self,
        dry_run: bool,
    ) -> Result<((watch::Sender<Job>, CancellationToken), watch::Receiver<Job>), Problem> {
        let mut known = self.known();
        if known.jobs.len() >= MAX_API_JOBS {
            let ended = known.jobs.iter().position(|entry| entry.progress.borrow().status != Status::Running);
            let what = format!("{MAX_API_JOBS} redeliveries run already; wait for one, or cancel it");
            let ended = ended.ok_or_else(|| Problem::new(Kind::Unavailable, what))?;
            known.jobs.remove(ended);
        }
        known.started += 1;
        let job = Job::new(known.started, dry_run);
        let ((sender, receiver), cancel) = (watch::channel(job), CancellationToken::new());
        known.jobs.push_back(Entry { progress: receiver.clone(), cancel: cancel.clone() });
        Ok(((sender, cancel), receiver))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn find(&self, id: &str) -> Option<&Entry> {
        self.jobs.iter().find(|entry| entry.progress.borrow().id == id)
    }
}

impl Job {
    /// Its id holds the time, so that one of an earlier server is not taken for it.
    fn new(number: u64, dry_run: bool) -> Self {
        let at = now();
        Self {
            id: format!("{:x}-{number}", at.0),
            status: Status::Running,
            dry_run,
            total: None,
            done: 0,
            redelivered: 0,
            error: None,
            started_at: at.to_iso8601(),
            ended_at: None,
        }
    }
}

/// A job under way.
struct Run {
    state: Arc<State>,
    progress: watch::Sender<Job>,
    cancel: CancellationToken,
}

impl Run {
    async fn run(self, plan: Plan) {
        let result = self.redeliver(plan).await;
        self.state.signal.changed();
        self.progress.send_modify(|job| {
            job.ended_at = Some(now().to_iso8601());
            (job.status, job.error) = match result {
                Err(problem) => (Status::Failed, Some(problem.detail().to_owned())),
                Ok(()) if job.dry_run || job.total == Some(job.done) => (Status::Done, None),
                Ok(()) => (Status::Cancelled, None),
            };
        });
    }

    async fn redeliver(&self, Plan { what, rate, dry_run }: Plan) -> Result<(), Problem> {
        let mut redelivery = self.choose(what).await?;
        self.progress.send_modify(|job| job.total = Some(redelivery.total()));
        let pause = Duration::from_secs(1).mul_f64(OPERATOR_STEP_ROWS as f64 / f64::from(rate));
        let (mut due, mut told) = (Instant::now(), Instant::now());
        while !dry_run && redelivery.done() < redelivery.total() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.cancel.cancelled() => break,
            }
            due = due.max(Instant::now()) + pause;
            redelivery = self.step(redelivery).await?;
            if told.elapsed() >= SIGNAL_INTERVAL {
                told = Instant::now();
                self.state.signal.changed();
            }
        }
        Ok(())
    }

    async fn choose(&self, what: What) -> Result<Redelivery, Problem> {
        let choose = self.state.queue.run(move |reader| match what {
            What::Ids(ids) => Redelivery::of(ids, reader),
            What::Filter(filter) => Redelivery::choose(reader, &filter),
        });
        choose.await
    }

    async fn step(&self, mut redelivery: Redelivery) -> Result<Redelivery, Problem> {
        let step = self.state.operators.run(move |operator| {
            let made = redelivery.step(operator)?.unwrap_or_default();
            Ok::<_, decnet_store::queue::Error>((redelivery, made.len()))
        });
        let (redelivery, made) = step.await?;
        self.progress.send_modify(|job| {
            job.done = redelivery.done();
            job.redelivered += made;
        });
        Ok(redelivery)
    }
}
