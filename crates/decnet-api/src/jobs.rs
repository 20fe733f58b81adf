//! Background jobs: work that may continue after the response to its request.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::{IntoResponse as _, Response};
use decnet_core::limits::MAX_API_JOBS;
use decnet_runtime::sync::lock;
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::state::now;

/// A job and its progress.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Job<P> {
    /// Id of the job in paths.
    id: String,
    status: Status,
    /// Whether the job only counts what it would change.
    dry_run: bool,
    #[serde(flatten)]
    progress: P,
    /// Reason why the job failed. While the job runs, the temporary failure that must end before it continues.
    error: Option<String>,
    started_at: String,
    ended_at: Option<String>,
}

/// The running jobs of one kind and those that ended last, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct JobList<P> {
    jobs: Vec<Job<P>>,
}

/// State of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = JobStatus)]
enum Status {
    Running,
    Done,
    Cancelled,
    Failed,
}

/// The outcome of a job that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Cancelled,
}

/// The jobs of one kind. Ended jobs are dropped to make room for new jobs.
pub(crate) struct Jobs<P> {
    /// The singular and the plural of the jobs' name.
    names: (&'static str, &'static str),
    /// The maximum number of running jobs.
    max_running: usize,
    started: AtomicU64,
    /// The jobs, oldest first.
    jobs: Mutex<VecDeque<Handle<P>>>,
}

/// A handle to a job, for its work and for its observers.
#[derive(Clone)]
pub(crate) struct Handle<P> {
    job: watch::Sender<Job<P>>,
    /// Cancelled when the job must end.
    pub(crate) cancel: CancellationToken,
}

impl<P> Jobs<P>
where
    P: Clone + Default + Serialize + Send + Sync + 'static,
{
    pub(crate) fn new(names: (&'static str, &'static str), max_running: usize) -> Self {
        Self { names, max_running, started: AtomicU64::new(0), jobs: Mutex::default() }
    }

    /// Starts a job and waits up to `max_wait` for its end. A longer job continues in the background, even if the caller is gone.
    /// Returns the current state of the job.
    ///
    /// # Errors
    /// Too many jobs are running, or the job failed during the wait.
    pub(crate) async fn start<W>(
        &self,
        dry_run: bool,
        max_wait: Duration,
        work: impl FnOnce(Handle<P>) -> W,
    ) -> Result<Job<P>, Problem>
    where
        W: Future<Output = Result<End, Problem>> + Send + 'static,
    {
        let handle = self.enter(dry_run)?;
        let supervised = tokio::spawn(handle.clone().supervise(work(handle.clone())));
        match tokio::time::timeout(max_wait, supervised).await {
            Ok(Ok(Some(problem))) => Err(problem),
            _ => Ok(handle.job()),
        }
    }

    /// Returns a job.
    ///
    /// # Errors
    /// No job has this id, or it was dropped.
    pub(crate) fn get(&self, id: &str) -> Result<Job<P>, Problem> {
        self.find(id).map(|handle| handle.job())
    }

    /// Cancels a job, unless it has ended.
    ///
    /// # Errors
    /// No job has this id, or it was dropped.
    pub(crate) fn cancel(&self, id: &str) -> Result<Job<P>, Problem> {
        let handle = self.find(id)?;
        handle.cancel.cancel();
        Ok(handle.job())
    }

    /// Cancels all jobs when the server stops.
    pub(crate) fn stop(&self) {
        lock(&self.jobs).iter().for_each(|handle| handle.cancel.cancel());
    }

    pub(crate) fn list(&self) -> JobList<P> {
        JobList { jobs: lock(&self.jobs).iter().map(Handle::job).collect() }
    }

    fn find(&self, id: &str) -> Result<Handle<P>, Problem> {
        let found = lock(&self.jobs).iter().find(|handle| handle.job.borrow().id == id).cloned();
        found.ok_or_else(|| {
            let what = format!(
                "{} not found; only recently ended jobs are kept, until the server stops",
                self.names.0
            );
            Problem::not_found(what)
        })
    }

    fn enter(&self, dry_run: bool) -> Result<Handle<P>, Problem> {
        let mut jobs = lock(&self.jobs);
        let running = jobs.iter().filter(|handle| handle.is_running()).count();
        if running >= self.max_running {
            let what = format!(
                "{running} {} are already running; wait until one has ended, or cancel one",
                self.names.1
            );
            return Err(Problem::unavailable(what));
        }
        if jobs.len() >= MAX_API_JOBS
            && let Some(ended) = jobs.iter().position(|handle| !handle.is_running())
        {
            jobs.remove(ended);
        }
        let handle = Handle::new(self.started.fetch_add(1, Ordering::Relaxed), dry_run);
        jobs.push_back(handle.clone());
        Ok(handle)
    }
}

impl<P: Clone + Default + Send + Sync + 'static> Handle<P> {
    /// Creates a handle. The id contains the time, so that ids of an earlier server are not reused.
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

    /// Updates the progress and clears the error.
    pub(crate) fn report(&self, change: impl FnOnce(&mut P)) {
        self.job.send_modify(|job| {
            job.error = None;
            change(&mut job.progress);
        });
    }

    /// Records a temporary failure that must end before the job continues.
    pub(crate) fn report_wait(&self, problem: &Problem) {
        self.job.send_modify(|job| job.error = Some(problem.detail().to_owned()));
    }

    fn is_running(&self) -> bool {
        self.job.borrow().status == Status::Running
    }

    fn job(&self) -> Job<P> {
        self.job.borrow().clone()
    }

    /// Runs the work to its end and records the result. Returns the error, if it failed.
    async fn supervise(
        self,
        work: impl Future<Output = Result<End, Problem>> + Send + 'static,
    ) -> Option<Problem> {
        let result = tokio::spawn(work).await;
        let result = result.unwrap_or_else(|error| Err(Problem::internal("the job was aborted", &error)));
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

    /// Returns a 202 whose `Location` is the job's path, below `path`.
    pub(crate) fn accepted(self, path: &str) -> Response {
        let location = HeaderValue::try_from(format!("{path}/{}", self.id)).expect("hexadecimal digits");
        (StatusCode::ACCEPTED, [(LOCATION, location)], Json(self)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const MAX_WAIT: Duration = Duration::from_secs(20);

    fn jobs() -> Jobs<()> {
        Jobs::new(("test", "tests"), 2)
    }

    async fn until_cancelled(handle: Handle<()>) -> Result<End, Problem> {
        handle.cancel.cancelled().await;
        Ok(End::Cancelled)
    }

    #[tokio::test]
    async fn running_and_kept_jobs_are_bounded() {
        let jobs = jobs();
        for _ in 0..10 * MAX_API_JOBS {
            assert!(jobs.start(false, MAX_WAIT, async |_| Ok(End::Done)).await.unwrap().is_done());
        }
        assert_eq!(jobs.list().jobs.len(), MAX_API_JOBS);
        let mut running = Vec::new();
        for _ in 0..2 {
            running.push(jobs.start(false, Duration::ZERO, until_cancelled).await.unwrap());
        }
        let refused = jobs.start(false, MAX_WAIT, until_cancelled).await.unwrap_err();
        assert!(
            refused.status() == StatusCode::SERVICE_UNAVAILABLE && refused.detail().contains("2 tests"),
            "{refused:?}"
        );
        assert_eq!(jobs.list().jobs.len(), MAX_API_JOBS);
        jobs.cancel(&running[0].id).unwrap();
        let mut first = jobs.find(&running[0].id).unwrap().job.subscribe();
        first.wait_for(|job| job.status == Status::Cancelled).await.unwrap();
        assert!(jobs.start(false, Duration::ZERO, until_cancelled).await.is_ok());
    }

    #[tokio::test]
    async fn failed_and_aborted_jobs_report_their_error() {
        let jobs = jobs();
        let failed = jobs.start(true, MAX_WAIT, async |_| Err(Problem::invalid("no"))).await.unwrap_err();
        assert_eq!(failed.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let job: Value = serde_json::to_value(&jobs.list().jobs[0]).unwrap();
        assert_eq!((&job["status"], &job["error"]), (&"failed".into(), &"no".into()));
        let broken = jobs.start(false, MAX_WAIT, async |_| panic!("a test's own")).await.unwrap_err();
        assert_eq!(broken.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(jobs.list().jobs.iter().all(|job| job.ended_at.is_some()));
        assert_eq!(jobs.get("none").unwrap_err().status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn wait_is_reported_until_the_job_continues() {
        let jobs = jobs();
        let job = jobs.start(false, Duration::ZERO, until_cancelled).await.unwrap();
        let handle = jobs.find(&job.id).unwrap();
        handle.report_wait(&Problem::unavailable("the disk is full"));
        let waiting = handle.job();
        assert_eq!((waiting.status, waiting.error.as_deref()), (Status::Running, Some("the disk is full")));
        handle.report(|()| {});
        assert_eq!(handle.job().error, None);
        jobs.stop();
    }

    #[tokio::test]
    async fn accepted_response_has_the_path_of_its_job() {
        let job = jobs().start(false, MAX_WAIT, async |_| Ok(End::Done)).await.unwrap();
        let (expected, answer) = (format!("/tests/{}", job.id), job.accepted("/tests"));
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.headers()[LOCATION], expected);
    }
}
