//! The writer: one thread, one transaction at a time, each with everything that waited for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use decnet_core::limits::{
    BUSY_COMMIT_INTERVAL, BUSY_COMMIT_ROWS, MAX_COMMIT_BACKOFF, MAX_COMMIT_ROWS, MIN_COMMIT_BACKOFF,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::checkpoint::Checkpoints;
use super::displaced::QueueFiles;
use super::error::{Error, Kind};
use super::health::Health;
use super::job::Job;
use super::lease::Lease;
use super::ledger::Ledger;
use super::rescue::rescue;
use super::stats::Stats;
use crate::clock::now;
use crate::ownership::directory_of;

/// Answered when the writer has ended; with an error if the queue's files were not in their place.
pub(super) type Closing = oneshot::Sender<Result<(), Error>>;

/// What comes to the writer.
pub(super) enum Command {
    Do(Box<dyn Job>),
    /// Do what came before, then end; answered when the lease is given back.
    Close(Closing),
}

/// A request to stop trying, which ends a sleep: what fails is tried once more, and then given up.
#[derive(Debug, Default)]
pub(super) struct Stop {
    stopped: AtomicBool,
    sleeper: std::sync::Mutex<()>,
    wake: std::sync::Condvar,
}

/// The thread's own.
pub(super) struct Writer {
    pub(super) ledger: Ledger,
    pub(super) lease: Lease,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) health: watch::Sender<Health>,
    /// Set when the queue closes: a commit that fails is given up.
    pub(super) stop: Arc<Stop>,
    /// Set when nobody waits for the end: a rescue that fails is given up.
    pub(super) abandon: Arc<Stop>,
    pub(super) files: QueueFiles,
    /// True from when the files are found not to be in their place.
    pub(super) displaced: watch::Sender<bool>,
    pub(super) checkpoints: Checkpoints,
    pub(super) stats: Arc<Stats>,
    /// Commits that failed since one succeeded.
    pub(super) failures: u64,
    /// Before then the next commit does not begin, if the last one was busy.
    pub(super) next: Option<Instant>,
}

type Jobs = Vec<Box<dyn Job>>;

impl Writer {
    pub(super) fn run(mut self) {
        let mut closing = Vec::new();
        let mut jobs = Jobs::new();
        while let Some(first) = self.commands.blocking_recv() {
            self.let_more_come();
            self.check_files();
            let rows = self.gather(first, &mut jobs, &mut closing);
            self.carry_out(&mut jobs);
            self.next = (rows >= BUSY_COMMIT_ROWS).then(|| Instant::now() + BUSY_COMMIT_INTERVAL);
            self.checkpoints.after_commit(&self.ledger.conn, &self.stats);
        }
        self.end(closing);
    }

    /// Notifies the owner of the queue if a file of it was removed, replaced or moved. While commands arrive, the files are checked
    /// every [`QUEUE_FILES_CHECK_INTERVAL`](decnet_core::limits::QUEUE_FILES_CHECK_INTERVAL). The queue is written to as before until
    /// the owner closes it, which saves it.
    fn check_files(&mut self) {
        if *self.displaced.borrow() {
            return;
        }
        let Some(displacement) = self.files.check_if_due() else { return };
        let error = format!("{displacement} while the worker runs");
        tracing::error!("{error}; it stops, and saves everything that it holds");
        self.health.send_replace(Health::Degraded { error, since: Instant::now() });
        self.displaced.send_replace(true);
    }

    /// A commit has a price, whatever is in it. While there is much to do they are spaced, so that each does more;
    /// an idle queue commits at once.
    fn let_more_come(&mut self) {
        if let Some(next) = self.next.take() {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }

    /// Takes what waits, as long as it fits one commit. About how many rows that is.
    fn gather(&mut self, first: Command, jobs: &mut Jobs, closing: &mut Vec<Closing>) -> usize {
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

    fn carry_out(&mut self, jobs: &mut Jobs) {
        match self.commit_patiently(jobs) {
            Err(error) if error.kind() == Kind::Command && jobs.len() > 1 => {
                // One of them is at fault: alone, each gets its own answer.
                for job in jobs.drain(..) {
                    let mut alone = vec![job];
                    let result = self.commit_patiently(&mut alone);
                    answer(&mut alone, &result);
                }
            }
            result => answer(jobs, &result),
        }
    }

    /// Commits all of it; as long as the environment is in the way, again and again.
    fn commit_patiently(&mut self, jobs: &mut Jobs) -> Result<(), Error> {
        let mut backoff = MIN_COMMIT_BACKOFF;
        loop {
            let last = self.stop.is_set();
            let writes = jobs.iter().any(|job| job.rows() > 0);
            let begun = Instant::now();
            let Err(error) = commit(&mut self.ledger, jobs, writes) else {
                if writes {
                    self.measure(jobs, begun);
                    self.recovered();
                }
                return Ok(());
            };
            match error.kind() {
                Kind::Command => return Err(error),
                Kind::Environment if !last => {
                    self.degraded(error);
                    self.check_files();
                    self.stop.sleep(backoff);
                    backoff = (backoff * 2).min(MAX_COMMIT_BACKOFF);
                }
                Kind::Environment | Kind::Fatal => {
                    self.degraded(error.clone());
                    return Err(error.given_up());
                }
            }
        }
    }

    fn measure(&self, jobs: &Jobs, begun: Instant) {
        self.stats.commit_time.observe_time(begun.elapsed());
        self.stats.sync_time.observe_time(self.ledger.last_sync);
        self.stats.commit_rows.observe(jobs.iter().map(|job| job.rows() as u64).sum());
        self.stats.used_bytes.set(self.ledger.used_bytes);
    }

    fn recovered(&mut self) {
        if self.failures > 0 {
            tracing::info!(failed_commits = self.failures, "the queue can be written again");
            self.failures = 0;
            self.health.send_replace(Health::Ok);
        }
    }

    /// Logs the first failure, and counts all of them.
    fn degraded(&mut self, error: Error) {
        self.failures += 1;
        self.stats.commit_failures.add(1);
        if self.failures == 1 {
            let error = with_causes(&error.at(self.files.path()));
            tracing::error!(error, "the queue cannot be written; everything waits until it can");
            self.health.send_replace(Health::Degraded { error, since: Instant::now() });
        }
    }

    /// Everything is committed; the log goes into the database where that works, and the lease goes back. A queue whose files
    /// are not in their place is saved first.
    fn end(self, closing: Vec<Closing>) {
        let error = match self.files.check() {
            Some(displacement) => Some(self.rescue(&displacement.to_string(), !closing.is_empty())),
            None if *self.displaced.borrow() => Some(Error::Returned { path: self.files.path().into() }),
            None => None,
        };
        let Self { ledger, lease, checkpoints, .. } = self;
        match &error {
            None | Some(Error::Returned { .. }) => checkpoints.end(ledger.conn),
            Some(_) => checkpoints.abandon(ledger.conn),
        }
        drop(lease);
        for done in closing {
            // Whoever closed it may have gone meanwhile.
            drop(done.send(error.clone().map_or(Ok(()), Err)));
        }
    }

    /// Saves what the queue holds; returns what to report to the operator. If somebody waits for the end, it tries however long it
    /// takes until there is room.
    fn rescue(&self, displacement: &str, is_awaited: bool) -> Error {
        self.displaced.send_replace(true);
        let (mut backoff, mut is_first) = (MIN_COMMIT_BACKOFF, true);
        loop {
            let last = !is_awaited || self.abandon.is_set();
            // Where nobody waits for the end, the whole directory may have been temporary.
            let error = match self.try_to_rescue(displacement, !last) {
                Ok(saved) => return saved,
                Err(error) => error,
            };
            if last {
                let lost = Error::NotRescued { displacement: displacement.into(), source: Arc::new(error) };
                tracing::error!("{}", with_causes(&lost));
                return lost;
            }
            if std::mem::take(&mut is_first) {
                self.cannot_rescue_yet(displacement, &error);
            }
            self.abandon.sleep(backoff);
            backoff = (backoff * 2).min(MAX_COMMIT_BACKOFF);
        }
    }

    /// Returns what to report once everything is safe, in a new file or where the whole queue was moved to.
    fn try_to_rescue(&self, displacement: &str, make_dir: bool) -> Result<Error, Error> {
        let (path, displacement) = (self.files.path(), displacement.to_owned());
        match rescue(&self.ledger.conn, path, now(), make_dir) {
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

    fn cannot_rescue_yet(&self, displacement: &str, error: &Error) {
        let (error, pid) = (with_causes(error), std::process::id());
        tracing::error!(
            error,
            "{displacement}, and what the queue holds cannot be saved yet; this process keeps it until it can: make room, or copy it \
             from /proc/{pid}/fd, before you end the process"
        );
        self.health.send_replace(Health::Degraded { error, since: Instant::now() });
    }
}
fn commit(ledger: &mut Ledger, jobs: &mut Jobs, writes: bool) -> Result<(), Error> {
    ledger.transaction(writes, |ledger| jobs.iter_mut().try_for_each(|job| job.apply(ledger)))
}

fn answer(jobs: &mut Jobs, result: &Result<(), Error>) {
    for job in jobs.drain(..) {
        job.answer(result.clone());
    }
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

impl Stop {
    pub(super) fn set(&self) {
        let _sleeper = self.sleeper.lock();
        self.stopped.store(true, Ordering::Release);
        self.wake.notify_all();
    }

    pub(super) fn is_set(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    /// Until then, or until it is set.
    pub(super) fn sleep(&self, duration: Duration) {
        if let Ok(sleeper) = self.sleeper.lock() {
            drop(self.wake.wait_timeout_while(sleeper, duration, |()| !self.is_set()));
        }
    }
}
