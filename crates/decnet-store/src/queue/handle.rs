//! The worker's handle on its queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use decnet_core::clock::Reading;
use decnet_core::limits::MAX_QUEUE_COMMANDS;
use decnet_core::time::UnixMicros;
use tokio::sync::{mpsc, oneshot, watch};

use super::admit::{Admission, Admitted, admit};
use super::backlog::{SubscriptionBacklog, backlogs};
use super::checkpoint::Checkpoints;
use super::claim::{Claim, Claimed, claim};
use super::connection::{self, Options};
use super::displaced::QueueFiles;
use super::error::Error;
use super::health::Health;
use super::id::{DeliveryId, SubscriptionKey};
use super::job::Task;
use super::lease::{self, Lease};
use super::meta;
use super::prune::{Pruned, Retention, prune};
use super::reader::Reader;
use super::register::register;
use super::release::{discard, release};
use super::rescue::reject_remains;
use super::settle::{Settlement, settle};
use super::stats::Stats;
use super::submitted::{SubmittedEvents, next_submitted};
use super::times::{Corrected, Correction, RecordedTimes, correct, record_time, recorded_times};
use super::writer::{Command, StopSignal, Writer};
use super::writer_state::WriterState;
use crate::file_identity::OpenedFile;
use decnet_runtime::clock::Clock;

/// The row count of a background step: too low to make a commit large, which would delay the next commit.
const BACKGROUND_ROWS: usize = 1;

/// The handle of the queue's owner. Clones share the queue.
///
/// Calls are executed in their order and return after their changes are on disk. While the disk is full or cannot be written,
/// they wait; see [`Queue::health`]. Dropping the future of a call does not cancel it. Dropping the last handle executes the
/// remaining calls, blocks until the writer has ended, and releases the lease.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

/// Fields are dropped in this order: the writer ends once its command channel is closed.
#[derive(Debug)]
struct Shared {
    commands: mpsc::Sender<Command>,
    health: watch::Receiver<Health>,
    displaced: watch::Receiver<bool>,
    stats: Arc<Stats>,
    clock: Clock,
    dir: PathBuf,
    thread: Thread,
}

#[derive(Debug)]
struct Thread {
    stop: Arc<StopSignal>,
    abandon: Arc<StopSignal>,
    handle: Option<JoinHandle<()>>,
}

impl Queue {
    /// Opens the queue in `dir`, creates or migrates it, and takes it over from an earlier worker. This blocks.
    ///
    /// # Errors
    /// Another worker owns the queue, the file cannot be used, or the remains of a removed queue exist: see [`Error`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        let path = connection::path(dir);
        let is_lost = lease::was_used(dir) && !path.exists();
        let lease = Lease::acquire(dir)?;
        reject_remains(&path)?;
        if is_lost {
            let path = path.display();
            tracing::warn!("{path} is missing, although a worker has run here; creating an empty queue");
        }
        let stats = Arc::new(Stats::default());
        connection::create_file(&path)?;
        let database = OpenedFile::of(&path);
        let conn = connection::open_writer(&path, &options)?;
        let Options { busy_timeout, wal_held_grace, clock, .. } = options;
        let state = WriterState::open(conn, clock.clone()).map_err(|error| error.at(&path))?;
        let io = |error| Error::io(&path, error);
        let second = connection::open_second(&path, busy_timeout)?;
        let checkpoints = Checkpoints::start(second, wal_held_grace).map_err(io)?;
        let (commands, receiver) = mpsc::channel(MAX_QUEUE_COMMANDS);
        let (health_sender, health) = watch::channel(Health::Ok);
        let (displaced_sender, displaced) = watch::channel(false);
        let (stop, abandon) = (Arc::new(StopSignal::default()), Arc::new(StopSignal::default()));
        let writer = Writer {
            state,
            lease,
            commands: receiver,
            health: health_sender,
            stop: Arc::clone(&stop),
            abandon: Arc::clone(&abandon),
            files: QueueFiles::new(database),
            displaced: displaced_sender,
            checkpoints,
            stats: Arc::clone(&stats),
            failures: 0,
            next_commit_at: None,
        };
        let thread = std::thread::Builder::new().name("queue-writer".into());
        let handle = Some(thread.spawn(move || writer.run()).map_err(io)?);
        Ok(Self(Arc::new(Shared {
            commands,
            health,
            displaced,
            stats,
            clock,
            dir: dir.into(),
            thread: Thread { stop, abandon, handle },
        })))
    }

    /// Returns the keys of subscriptions given as (uuid, name), in the same order. Assigns keys to new subscriptions, and updates
    /// changed names.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn register(&self, subs: Vec<(Box<str>, Box<str>)>) -> Result<Vec<SubscriptionKey>, Error> {
        self.execute(subs.len(), move |writer| register(writer, &subs)).await
    }

    /// Commits events and their deliveries: all of `batch` or nothing.
    ///
    /// An event is not admitted if its id is among the newest `DEDUP_WINDOW_EVENTS`, unless it was submitted: submitted
    /// events are deduplicated when they are submitted.
    ///
    /// # Errors
    /// An event has too many recipients, or see [`Error`].
    pub async fn admit(&self, batch: Arc<[Admission]>) -> Result<Vec<Admitted>, Error> {
        let rows = batch.iter().map(Admission::rows).sum();
        self.execute(rows, move |writer| admit(writer, &batch)).await
    }

    /// Returns the oldest submitted events, up to one step. The next call returns the same events until they are admitted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn next_submitted(&self) -> Result<SubmittedEvents, Error> {
        self.execute(0, next_submitted).await
    }

    /// Commits attempts and the resulting states. Returns for each attempt whether it was applied. An attempt that came too late
    /// changes nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<bool>, Error> {
        self.execute(2 * batch.len(), move |writer| settle(writer, &batch)).await
    }

    /// Returns the next deliveries of a subscription. Writes nothing: a claimed delivery keeps its state until it is settled.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn claim(&self, request: Claim) -> Result<Claimed, Error> {
        self.execute(0, move |writer| claim(writer, &request)).await
    }

    /// Returns the backlog of each subscription that has queued or retrying deliveries.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn backlogs(&self) -> Result<Vec<SubscriptionBacklog>, Error> {
        self.execute(0, backlogs).await
    }

    /// Returns held deliveries to the queue, ordered by admission.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn release(&self, ids: Vec<DeliveryId>) -> Result<(), Error> {
        self.execute(ids.len(), move |writer| release(writer, &ids)).await
    }

    /// Changes some waiting deliveries of a deleted subscription to dead. Returns whether there may be more.
    ///
    /// Held deliveries must be released first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn discard(&self, sub: SubscriptionKey, now: UnixMicros) -> Result<bool, Error> {
        self.execute(BACKGROUND_ROWS, move |writer| discard(writer, sub, now)).await
    }

    /// Runs one small step of retention; see [`Retention`]. If no time is given, nothing is removed because of its age.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn prune(
        &self,
        policy: Retention,
        now: impl Into<Option<UnixMicros>>,
    ) -> Result<Pruned, Error> {
        let now = now.into();
        self.execute(BACKGROUND_ROWS, move |writer| prune(writer, &policy, now)).await
    }

    /// Returns the times that the queue has recorded. The worker compares its clock with them at the start.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn recorded_times(&self) -> Result<RecordedTimes, Error> {
        self.execute(0, |writer| recorded_times(&writer.conn)).await
    }

    /// Records a reading of the clocks at which the wall clock was trusted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn record_time(&self, trusted: Reading) -> Result<(), Error> {
        self.execute(BACKGROUND_ROWS, move |writer| record_time(&writer.conn, &trusted)).await
    }

    /// Runs one bounded step of a correction of stored times; see [`Correction`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn correct_times(&self, correction: Correction) -> Result<Corrected, Error> {
        self.execute(BACKGROUND_ROWS, move |writer| correct(writer, correction)).await
    }

    /// Returns whether another connection has written to the queue since the last call. This is cheap because it reads no table.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn changed_elsewhere(&self) -> Result<bool, Error> {
        self.execute(0, WriterState::changed_elsewhere).await
    }

    /// Returns the number of erasure steps committed to this queue. If it has changed, deliveries in memory may have been
    /// erased from the queue.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn erasures(&self) -> Result<i64, Error> {
        self.execute(0, |writer| Ok(meta::get(&writer.conn, "erasures")?)).await
    }

    /// Returns the number of changes of the subscriptions that were counted in this queue; see
    /// [`record_catalog_change`](super::record_catalog_change).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn catalog_changes(&self) -> Result<i64, Error> {
        self.execute(0, |writer| Ok(meta::get_or_zero(&writer.conn, "catalog_changes")?)).await
    }

    /// Returns a receiver of the queue's health.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.health.clone()
    }

    /// Waits until a file of the queue was removed, replaced or moved. The caller must then [close](Self::close) the queue, which
    /// saves its content. Never resolves if the queue ends in another way.
    pub async fn displaced(&self) {
        let mut displaced = self.displacement();
        if displaced.wait_for(|displaced| *displaced).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns a receiver that reports whether a file of the queue was removed, replaced or moved. The receiver remains valid
    /// after the queue has closed.
    #[must_use]
    pub fn displacement(&self) -> watch::Receiver<bool> {
        self.0.displaced.clone()
    }

    /// Returns the writer's metrics.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.0.stats)
    }

    /// Returns the worker's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Opens a reader of the queue that does not use the writer. This blocks briefly.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.0.dir)
    }

    /// Executes the remaining calls, runs a last checkpoint and releases the lease. If the queue's files were displaced, saves
    /// its content into a new file, and retries until that succeeds.
    ///
    /// # Errors
    /// The queue was closed before; [`Error::Displaced`], [`Error::Moved`] or [`Error::Returned`] if its files were
    /// displaced.
    pub async fn close(self) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        self.0.thread.stop.set();
        self.0.commands.send(Command::Close(done)).await.map_err(|_| Error::Closed)?;
        ended.await.map_err(|_| Error::Closed)?
    }

    /// Sends a job to the writer and waits for its output. `rows` is the approximate number of rows that it writes.
    async fn execute<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl FnMut(&mut WriterState) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let task = Task { rows, work, output: None, reply };
        self.0.commands.send(Command::Do(Box::new(task))).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.set();
        self.abandon.set();
        if let Some(Err(_)) = self.handle.take().map(JoinHandle::join) {
            tracing::error!("the queue's writer panicked");
        }
    }
}
