//! Work that goes on after its request was answered: bounded in number, watched, and ended.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::MAX_API_JOBS;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::now;

/// How far a job is: what is told of each, and what its kind adds.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Job<P> {
    /// What it is called in paths.
    id: String,
    status: Status,
    /// Does it only count?
    dry_run: bool,
    #[serde(flatten)]
    progress: P,
    /// Why it failed; while it runs, what it waits for to pass.
    error: Option<String>,
    started_at: String,
    ended_at: Option<String>,
}

/// The jobs of one kind that are remembered, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList<P> {
    jobs: Vec<Job<P>>,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobStatus)]
enum Status {
    Running,
    Done,
    Cancelled,
    Failed,
}

/// How work ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Cancelled,
}

/// The jobs of one kind, oldest first. Those that ended make room for new ones.
pub(crate) struct Jobs<P> {
    /// What one is called, and many.
    called: (&'static str, &'static str),
    /// How many run at once.
    most: usize,
    known: Mutex<Known<P>>,
}

struct Known<P> {
    started: u64,
    jobs: VecDeque<Handle<P>>,
}

/// A job in the hands of its work, and of whoever watches it.
#[derive(Clone)]
pub(crate) struct Handle<P> {
    job: watch::Sender<Job<P>>,
    cancel: CancellationToken,
}

impl<P> Jobs<P>
where
    P: Clone + Default + Serialize + Send + Sync + 'static,
{
    pub(crate) fn new(called: (&'static str, &'static str), most: usize) -> Self {
        let known = Mutex::new(Known { started: 0, jobs: VecDeque::new() });
        Self { called, most, known }
    }

    /// Starts a job, and waits for its end so long; then it goes on by itself, also where nobody waits any more. How far
    /// it is by then, and why it failed if it did.
    ///
    /// # Errors
    /// Too many run already.
    pub(crate) async fn start<W>(
        &self,
        dry_run: bool,
        patience: Duration,
        work: impl FnOnce(Handle<P>) -> W,
    ) -> Result<(Job<P>, Option<Problem>), Problem>
    where
        W: Future<Output = Result<End, Problem>> + Send + 'static,
    {
        let handle = self.enter(dry_run)?;
        let carried = tokio::spawn(handle.clone().carry(work(handle.clone())));
        let failure = tokio::time::timeout(patience, carried).await;
        Ok((handle.job(), failure.ok().and_then(Result::ok).flatten()))
    }

    /// # Errors
    /// There is none of this id, or not any more.
    pub(crate) fn get(&self, id: &str) -> Result<Job<P>, Problem> {
        self.find(id).map(|handle| handle.job())
    }

    /// Ends one, unless it has ended.
    ///
    /// # Errors
    /// There is none of this id, or not any more.
    pub(crate) fn cancel(&self, id: &str) -> Result<Job<P>, Problem> {
        let handle = self.find(id)?;
        handle.cancel.cancel();
        Ok(handle.job())
    }

    /// Ends all of them: the server stops.
    pub(crate) fn stop(&self) {
        self.known().jobs.iter().for_each(|handle| handle.cancel.cancel());
    }

    pub(crate) fn list(&self) -> JobList<P> {
        JobList { jobs: self.known().jobs.iter().map(Handle::job).collect() }
    }

    fn find(&self, id: &str) -> Result<Handle<P>, Problem> {
        let found = self.known().jobs.iter().find(|handle| handle.job.borrow().id == id).cloned();
        found.ok_or_else(|| {
            let told = "the last ones are remembered until the server stops";
            Problem::not_found(format!("there is no such {}; {told}", self.called.0))
        })
    }

    fn enter(&self, dry_run: bool) -> Result<Handle<P>, Problem> {
        let mut known = self.known();
        let running = known.jobs.iter().filter(|handle| handle.is_running()).count();
        if running >= self.most {
            let what = format!("{running} {} run already; wait for one, or end it", self.called.1);
            return Err(Problem::unavailable(what));
        }
        if known.jobs.len() >= MAX_API_JOBS
            && let Some(ended) = known.jobs.iter().position(|handle| !handle.is_running())
        {
            known.jobs.remove(ended);
        }
        known.started += 1;
        let handle = Handle::new(known.started, dry_run);
        known.jobs.push_back(handle.clone());
        Ok(handle)
    }

    fn known(&self) -> MutexGuard<'_, Known<P>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Clone + Default + Send + Sync + 'static> Handle<P> {
    /// Its id holds the time, so that one of an earlier server is not taken for it.
    fn new(number: u64, dry_run: bool) -> Self {
        let at = now();
        let job = Job {
            id: format!("{:x}-{number}", at.0),
            status: Status::Running,
            dry_run,
            progress: P::default(),
            error: None,
            started_at: at.to_iso8601(),
            ended_at: None,
        };
        Self { job: watch::Sender::new(job), cancel: CancellationToken::new() }
    }

    /// Tells how far it is: it goes on.
    pub(crate) fn tell(&self, change: impl FnOnce(&mut P)) {
        self.job.send_modify(|job| {
            job.error = None;
            change(&mut job.progress);
        });
    }

    /// Tells what stands in its way for now.
    pub(crate) fn waits_for(&self, problem: &Problem) {
        self.job.send_modify(|job| job.error = Some(problem.detail().to_owned()));
    }

    /// Somebody has ended it.
    pub(crate) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.cancel.cancelled()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    fn is_running(&self) -> bool {
        self.job.borrow().status == Status::Running
    }

    fn job(&self) -> Job<P> {
        self.job.borrow().clone()
    }

    /// Sees the work to its end, however it ends; why it failed, if it did.
    async fn carry(
        self,
        work: impl Future<Output = Result<End, Problem>> + Send + 'static,
    ) -> Option<Problem> {
        let result = tokio::spawn(work).await;
        let result = result.unwrap_or_else(|error| Err(Problem::internal("a job broke off", &error)));
        self.job.send_modify(|job| {
            job.ended_at = Some(now().to_iso8601());
            (job.status, job.error) = match &result {
                Ok(End::Done) => (Status::Done, None),
                Ok(End::Cancelled) => (Status::Cancelled, None),
                Err(problem) => (Status::Failed, Some(problem.detail().to_owned())),
            };
        });
        result.err()
    }
}

impl<P: Serialize> Job<P> {
    pub(crate) fn is_done(&self) -> bool {
        self.status == Status::Done
    }

    /// An answer that says where it can be watched: below the path that it was started at.
    pub(crate) fn accepted(self, path: &str) -> Response {
        let location = HeaderValue::try_from(format!("{path}/{}", self.id)).expect("hexadecimal digits");
        (StatusCode::ACCEPTED, [(LOCATION, location)], Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::problem::Kind;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn jobs() -> Jobs<()> {
        Jobs::new(("test", "tests"), 2)
    }

    async fn until_cancelled(handle: Handle<()>) -> Result<End, Problem> {
        handle.cancelled().await;
        Ok(End::Cancelled)
    }

    #[tokio::test]
    async fn many_run_at_once_no_more_are_taken_and_few_are_remembered() {
        let jobs = jobs();
        for _ in 0..10 * MAX_API_JOBS {
            assert!(jobs.start(false, PATIENCE, async |_| Ok(End::Done)).await.unwrap().0.is_done());
        }
        assert_eq!(jobs.list().jobs.len(), MAX_API_JOBS);
        let mut running = Vec::new();
        for _ in 0..2 {
            running.push(jobs.start(false, Duration::ZERO, until_cancelled).await.unwrap().0);
        }
        let refused = jobs.start(false, PATIENCE, until_cancelled).await.unwrap_err();
        assert!(refused.kind() == Kind::Unavailable && refused.detail().contains("2 tests"), "{refused:?}");
        assert_eq!(jobs.list().jobs.len(), MAX_API_JOBS);
        jobs.cancel(&running[0].id).unwrap();
        let mut first = jobs.find(&running[0].id).unwrap().job.subscribe();
        first.wait_for(|job| job.status == Status::Cancelled).await.unwrap();
        assert!(jobs.start(false, Duration::ZERO, until_cancelled).await.is_ok());
    }

    #[tokio::test]
    async fn what_fails_or_breaks_off_says_so() {
        let jobs = jobs();
        let fails = jobs.start(true, PATIENCE, async |_| Err(Problem::invalid("no"))).await.unwrap();
        assert_eq!(fails.1.map(|problem| problem.kind()), Some(Kind::Invalid));
        let told: Value = serde_json::to_value(jobs.get(&fails.0.id).unwrap()).unwrap();
        assert_eq!((&told["status"], &told["error"]), (&"failed".into(), &"no".into()));
        let breaks = jobs.start(false, PATIENCE, async |_| panic!("a test's own")).await.unwrap();
        assert_eq!(breaks.1.map(|problem| problem.kind()), Some(Kind::Internal));
        assert!(jobs.list().jobs.iter().all(|job| job.ended_at.is_some()));
        assert_eq!(jobs.get("none").unwrap_err().kind(), Kind::NotFound);
    }

    #[tokio::test]
    async fn what_a_job_waits_for_is_told_until_it_goes_on() {
        let jobs = jobs();
        let (job, _) = jobs.start(false, Duration::ZERO, until_cancelled).await.unwrap();
        let handle = jobs.find(&job.id).unwrap();
        handle.waits_for(&Problem::unavailable("the disk is full"));
        let told = handle.job();
        assert_eq!((told.status, told.error.as_deref()), (Status::Running, Some("the disk is full")));
        handle.tell(|()| {});
        assert_eq!(handle.job().error, None);
        jobs.stop();
    }

    #[tokio::test]
    async fn an_answer_says_where_its_job_is() {
        let (job, _) = jobs().start(false, PATIENCE, async |_| Ok(End::Done)).await.unwrap();
        let (expected, answer) = (format!("/tests/{}", job.id), job.accepted("/tests"));
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.headers()[LOCATION], expected);
    }
}
