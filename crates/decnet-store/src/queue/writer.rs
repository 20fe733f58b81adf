//! The writer: one thread that commits one transaction at a time, each with all commands that arrived before it.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use decnet_core::limits::{
    GROUP_COMMIT_INTERVAL, GROUP_COMMIT_MIN_ROWS, MAX_COMMIT_BACKOFF, MAX_COMMIT_ROWS, MIN_COMMIT_BACKOFF,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::Checkpoints;
use super::displaced::QueueFiles;
use super::error::{Error, FailureKind};
use super::health::Health;
use super::job::Job;
use super::lease::Lease;
use super::rescue::rescue;
use super::stats::Stats;
use super::writer_state::WriterState;
use crate::ownership::directory_of;
use decnet_runtime::backoff::Backoff;
use decnet_runtime::clock::now;
use decnet_runtime::error_chain::one_line;
use decnet_runtime::sync::lock;

/// The reply when the writer has ended; an error if the queue's files were displaced.
pub(super) type CloseReply = oneshot::Sender<Result<(), Error>>;

/// A message to the writer.
pub(super) enum Command {
    Do(Box<dyn Job>),
    /// All earlier commands are executed, and the writer ends. The reply is sent after the lease is released.
    Close(CloseReply),
}

/// A signal to stop retrying. It ends a sleep; the operation is then tried once more.
#[derive(Debug, Default)]
pub(super) struct StopSignal {
    is_set: Mutex<bool>,
    wake: Condvar,
}

/// The state of the writer's thread.
pub(super) struct Writer {
    pub(super) state: WriterState,
    pub(super) lease: Lease,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) health: watch::Sender<Health>,
    /// The signal that the queue is closing: a failing commit is then no longer retried.
    pub(super) stop: Arc<StopSignal>,
    /// The signal that no caller waits for the end: a failing rescue is then no longer retried.
    pub(super) abandon: Arc<StopSignal>,
    pub(super) files: QueueFiles,
    /// Whether the files were found to be displaced.
    pub(super) displaced: watch::Sender<bool>,
    pub(super) checkpoints: Checkpoints,
    pub(super) stats: Arc<Stats>,
    /// The number of failed commits since the last successful commit.
    pub(super) failures: u64,
    /// The earliest time of the next commit, if the last commit was large.
    pub(super) next_commit_at: Option<Instant>,
}

type Jobs = Vec<Box<dyn Job>>;

impl Writer {
    pub(super) fn run(mut self) {
        let mut closing = Vec::new();
        let mut jobs = Jobs::new();
        while let Some(first) = self.commands.blocking_recv() {
            self.space_commits();
            self.check_files();
            let rows = self.collect_batch(first, &mut jobs, &mut closing);
            self.execute(&mut jobs);
            self.next_commit_at =
                (rows >= GROUP_COMMIT_MIN_ROWS).then(|| Instant::now() + GROUP_COMMIT_INTERVAL);
            self.checkpoints.after_commit(&self.state.conn, &self.stats);
        }
        self.end(closing);
    }

    /// Notifies the owner of the queue if one of its files was removed, replaced or moved. While commands arrive, the files are
    /// checked every [`QUEUE_FILES_CHECK_INTERVAL`](decnet_core::limits::QUEUE_FILES_CHECK_INTERVAL). Writes continue until the
    /// owner closes the queue, which saves its content.
    fn check_files(&mut self) {
        if *self.displaced.borrow() {
            return;
        }
        let Some(displacement) = self.files.check_if_due() else { return };
        let error = format!("{displacement} while the worker runs");
        tracing::error!("{error}; the worker stops and saves the content of the queue");
        self.health.send_replace(Health::Degraded { error, since: Instant::now() });
        self.displaced.send_replace(true);
    }

    /// Waits until the next commit may begin. Each commit has a fixed cost. Under load, commits are therefore spaced so
    /// that each contains more; an idle queue commits at once.
    fn space_commits(&mut self) {
        if let Some(at) = self.next_commit_at.take() {
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
    }

    /// Takes waiting commands until the commit is full. Returns the approximate number of rows.
    fn collect_batch(&mut self, first: Command, jobs: &mut Jobs, closing: &mut Vec<CloseReply>) -> usize {
        let mut rows = 0;
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Do(job) => {
                    rows += job.rows().max(1);
                    jobs.push(job);
                }
                Command::Close(done) => {
                    closing.push(done);
                    self.commands.close();
                }
            }
            next = if rows < MAX_COMMIT_ROWS { self.commands.try_recv().ok() } else { None };
        }
        rows
    }

    fn execute(&mut self, jobs: &mut Jobs) {
        match self.commit_with_retry(jobs) {
            Err(error) if error.kind() == FailureKind::Command && jobs.len() > 1 => {
                // One job is invalid. Executed alone, each gets its own answer.
                for job in jobs.drain(..) {
                    let mut alone = vec![job];
                    let result = self.commit_with_retry(&mut alone);
                    answer(&mut alone, &result);
                }
            }
            result => answer(jobs, &result),
        }
    }

    /// Commits all jobs in one transaction. Retries failures of the environment with backoff until the queue closes.
    fn commit_with_retry(&mut self, jobs: &mut Jobs) -> Result<(), Error> {
        let mut backoff = Backoff::new(MIN_COMMIT_BACKOFF, MAX_COMMIT_BACKOFF);
        loop {
            let is_last = self.stop.is_set();
            let writes = jobs.iter().any(|job| job.rows() > 0);
            let started = Instant::now();
            let commit = |state: &mut WriterState| jobs.iter_mut().try_for_each(|job| job.apply(state));
            let Err(error) = self.state.transaction(writes, commit) else {
                if writes {
                    self.observe_commit(jobs, started);
                    self.report_success();
                }
                return Ok(());
            };
            match error.kind() {
                FailureKind::Command => return Err(error),
                FailureKind::Environment if !is_last => {
                    self.report_failure(error);
                    self.check_files();
                    self.stop.sleep(backoff.next_delay());
                }
                FailureKind::Environment | FailureKind::Fatal => {
                    self.report_failure(error.clone());
                    return Err(error.into_unwritten());
                }
            }
        }
    }

    fn observe_commit(&self, jobs: &Jobs, started: Instant) {
        self.stats.commit_time.observe_time(started.elapsed());
        self.stats.sync_time.observe_time(self.state.last_sync_time);
        self.stats.commit_rows.observe(jobs.iter().map(|job| job.rows() as u64).sum());
        self.stats.used_bytes.set(self.state.used_bytes);
    }

    fn report_success(&mut self) {
        if self.failures > 0 {
            tracing::info!(failed_commits = self.failures, "the queue can be written again");
            self.failures = 0;
            self.health.send_replace(Health::Ok);
        }
    }

    /// Counts a failed commit. Logs only the first failure since the last success.
    fn report_failure(&mut self, error: Error) {
        self.failures += 1;
        self.stats.commit_failures.add(1);
        if self.failures == 1 {
            let error = one_line(&error.at(self.files.path()));
            tracing::error!(error, "cannot write the queue; retrying, and all deliveries wait");
            self.health.send_replace(Health::Degraded { error, since: Instant::now() });
        }
    }

    /// Runs the last checkpoint and releases the lease. If the queue's files were displaced, its content is saved first.
    fn end(self, closing: Vec<CloseReply>) {
        let error = match self.files.check() {
            Some(displacement) => Some(self.rescue(&displacement, !closing.is_empty())),
            None if *self.displaced.borrow() => Some(Error::Returned(self.files.path().into())),
            None => None,
        };
        let Self { state, lease, checkpoints, .. } = self;
        match &error {
            None | Some(Error::Returned { .. }) => checkpoints.end(state.conn),
            Some(_) => checkpoints.abandon(state.conn),
        }
        drop(lease);
        for done in closing {
            // The caller may have dropped its future.
            drop(done.send(error.clone().map_or(Ok(()), Err)));
        }
    }

    /// Saves the content of the queue and returns the error to report. If a caller waits for the end, retries until the
    /// rescue succeeds.
    fn rescue(&self, displacement: &str, is_awaited: bool) -> Error {
        self.displaced.send_replace(true);
        let (mut backoff, mut is_first) = (Backoff::new(MIN_COMMIT_BACKOFF, MAX_COMMIT_BACKOFF), true);
        loop {
            let is_last = !is_awaited || self.abandon.is_set();
            // If no caller waits, the whole directory may have been temporary: do not create it again.
            let error = match self.try_to_rescue(displacement, !is_last) {
                Ok(saved) => return saved,
                Err(error) => error,
            };
            if is_last {
                let lost = Error::NotRescued { displacement: displacement.into(), source: Arc::new(error) };
                tracing::error!("{}", one_line(&lost));
                return lost;
            }
            if std::mem::take(&mut is_first) {
                self.report_failed_rescue(displacement, &error);
            }
            self.abandon.sleep(backoff.next_delay());
        }
    }

    /// Returns the error to report once the content is safe: in a new file, or in the directory to which the whole queue was
    /// moved.
    fn try_to_rescue(&self, displacement: &str, make_dir: bool) -> Result<Error, Error> {
        let (path, displacement) = (self.files.path(), displacement.to_owned());
        match rescue(&self.state.conn, path, now(), make_dir) {
            Ok(rescued) => {
                self.files.remove_orphaned_log();
                Ok(Error::Displaced { displacement, path: path.into(), rescued })
            }
            Err(error) => {
                let now = self.files.moved_together().ok_or(error)?;
                Ok(Error::Moved { displacement, before: directory_of(path).into(), now })
            }
        }
    }

    fn report_failed_rescue(&self, displacement: &str, error: &Error) {
        let (error, pid) = (one_line(error), std::process::id());
        tracing::error!(
            error,
            "{displacement}, and the content of the queue cannot be saved yet; retrying. Before you end the process, free disk \
             space or copy the file from /proc/{pid}/fd"
        );
        self.health.send_replace(Health::Degraded { error, since: Instant::now() });
    }
}

fn answer(jobs: &mut Jobs, result: &Result<(), Error>) {
    for job in jobs.drain(..) {
        job.answer(result.clone());
    }
}

impl StopSignal {
    pub(super) fn set(&self) {
        *lock(&self.is_set) = true;
        self.wake.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        *lock(&self.is_set)
    }

    /// Sleeps for `duration`, or until the signal is set.
    pub(super) fn sleep(&self, duration: Duration) {
        drop(self.wake.wait_timeout_while(lock(&self.is_set), duration, |is_set| !*is_set));
    }
}
