//! The worker's handle on its queue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use decnet_core::clock::Reading;
use decnet_core::limits::MAX_QUEUE_COMMANDS;
use decnet_core::time::UnixMicros;
use tokio::sync::{mpsc, oneshot, watch};

use super::admit::{Admission, Admitted, admit};
use super::checkpoint::Checkpoints;
use super::claim::{Claim, Claimed, claim};
use super::connection::{self, Options};
use super::displaced::QueueFiles;
use super::error::Error;
use super::health::Health;
use super::id::{DeliveryId, SubscriptionKey};
use super::job::Task;
use super::lease::{self, Lease};
use super::ledger::Ledger;
use super::reader::Reader;
use super::register::register;
use super::release::{forget, release};
use super::rescue::refuse_remains;
use super::retain::{Retained, Retention, retain};
use super::settle::{Settlement, settle};
use super::stats::Stats;
use super::submitted::{Taken, catalog_changes, submitted};
use super::times::{Corrected, Correction, KnownTimes, correct, known_times, note_time};
use super::waiting::{Waiting, waiting};
use super::writer::{Command, Stop, Writer};
use crate::clock::Clock;
use crate::origin::Origin;

/// What a step that goes on in the background counts for: it makes no commit a busy one, for which others wait.
const BACKGROUND_ROWS: usize = 1;

/// The queue, as its one owner has it. Clones share it.
///
/// Calls are carried out in the order in which they were made, and answered when what they wrote is on the disk;
/// while the disk is full or away they wait, and [`Queue::health`] says so. Dropping a call's future does not
/// undo the call. Dropping the last handle carries out what was asked before, blocks until the writer has ended,
/// and gives the lease back.
#[derive(Debug, Clone)]
pub struct Queue(Arc<Shared>);

/// Fields are dropped in this order: the writer ends when nobody can command it any more.
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
    stop: Arc<Stop>,
    abandon: Arc<Stop>,
    handle: Option<JoinHandle<()>>,
}

impl Queue {
    /// Opens the queue in `dir`, making or migrating it, and takes it over from an earlier worker. Blocks.
    ///
    /// # Errors
    /// Another worker has it, the file cannot be used, or there are remains of a queue that was removed: see [`Error`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        let path = connection::path(dir);
        let is_lost = lease::was_used(dir) && !path.exists();
        let lease = Lease::take(dir)?;
        refuse_remains(&path)?;
        if is_lost {
            let path = path.display();
            tracing::warn!("{path} is not there, although a worker has run here; making an empty queue");
        }
        let stats = Arc::new(Stats::default());
        connection::make(&path)?;
        let database = Origin::of(&path);
        let conn = connection::open_writer(&path, &options)?;
        let Options { busy_timeout, log_patience, clock, .. } = options;
        let ledger = Ledger::open(conn, clock.clone()).map_err(|error| error.at(&path))?;
        let io = |error| Error::io(&path, error);
        let second = connection::open_second(&path, busy_timeout)?;
        let checkpoints = Checkpoints::start(second, log_patience).map_err(io)?;
        let (commands, receiver) = mpsc::channel(MAX_QUEUE_COMMANDS);
        let (health_sender, health) = watch::channel(Health::Ok);
        let (displaced_sender, displaced) = watch::channel(false);
        let (stop, abandon) = (Arc::new(Stop::default()), Arc::new(Stop::default()));
        let writer = Writer {
            ledger,
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
            next: None,
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

    /// The keys of subscriptions given as (uuid, name), in their order; new ones get one, names are brought up
    /// to date.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn register(&self, subs: Vec<(Box<str>, Box<str>)>) -> Result<Vec<SubscriptionKey>, Error> {
        self.ask(subs.len(), move |ledger| register(ledger, &subs)).await
    }

    /// Makes events and their deliveries durable, all of `batch` or nothing.
    ///
    /// An event whose id is among the newest `DEDUP_WINDOW_EVENTS` is not admitted again, unless it was submitted: its
    /// submitter was answered that it is new.
    ///
    /// # Errors
    /// Too many recipients, or see [`Error`].
    pub async fn admit(&self, batch: Arc<[Admission]>) -> Result<Vec<Admitted>, Error> {
        let rows = batch.iter().map(Admission::rows).sum();
        self.ask(rows, move |ledger| admit(ledger, &batch)).await
    }

    /// The oldest events that were submitted, as many as one step takes. They wait until they are admitted, so the next
    /// call comes after that.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn submitted(&self) -> Result<Taken, Error> {
        self.ask(0, submitted).await
    }

    /// Makes attempts and what they led to durable. One flag each: false if it came too late and changed nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn settle(&self, batch: Vec<Settlement>) -> Result<Vec<bool>, Error> {
        self.ask(2 * batch.len(), move |ledger| settle(ledger, &batch)).await
    }

    /// The next deliveries of a subscription.
    ///
    /// Writes nothing: what is claimed stays as it is until it is settled.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn claim(&self, what: Claim) -> Result<Claimed, Error> {
        self.ask(0, move |ledger| claim(ledger, &what)).await
    }

    /// What waits in the queue, for each subscription with something that does.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        self.ask(0, waiting).await
    }

    /// Held deliveries that the caller gives up wait in the queue, each in its place by admission.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn release(&self, ids: Vec<DeliveryId>) -> Result<(), Error> {
        self.ask(ids.len(), move |ledger| release(ledger, &ids)).await
    }

    /// One bounded step of giving up what waits for a deleted subscription; true if there is more to do.
    ///
    /// What is held for it must be released first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn forget(&self, sub: SubscriptionKey, now: UnixMicros) -> Result<bool, Error> {
        self.ask(BACKGROUND_ROWS, move |ledger| forget(ledger, sub, now)).await
    }

    /// One small step of retention; see [`Retention`]. Without a time, nothing is removed by age.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn retain(
        &self,
        policy: Retention,
        now: impl Into<Option<UnixMicros>>,
    ) -> Result<Retained, Error> {
        let now = now.into();
        self.ask(BACKGROUND_ROWS, move |ledger| retain(ledger, &policy, now)).await
    }

    /// Returns what the queue tells about the time: what its clock is compared with at the start.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn known_times(&self) -> Result<KnownTimes, Error> {
        self.ask(0, |ledger| known_times(&ledger.conn)).await
    }

    /// Notes a reading of the clocks at which the wall clock was trusted.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn note_time(&self, trusted: Reading) -> Result<(), Error> {
        self.ask(BACKGROUND_ROWS, move |ledger| note_time(&ledger.conn, &trusted)).await
    }

    /// One bounded step of putting stored times right; see [`Correction`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn correct_times(&self, what: Correction) -> Result<Corrected, Error> {
        self.ask(BACKGROUND_ROWS, move |ledger| correct(ledger, what)).await
    }

    /// Has another process written to the queue since this was last asked? Cheap.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn changed_elsewhere(&self) -> Result<bool, Error> {
        self.ask(0, Ledger::changed_elsewhere).await
    }

    /// How often something was erased, ever: where it is another number than before, what is held in memory may be
    /// gone from the queue.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn erasures(&self) -> Result<i64, Error> {
        self.ask(0, Ledger::erasures).await
    }

    /// How often the subscriptions were changed, ever, as far as whoever changed them has counted it here; see
    /// [`note_change`](super::note_change).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn catalog_changes(&self) -> Result<i64, Error> {
        self.ask(0, |ledger| catalog_changes(&ledger.conn)).await
    }

    /// Can the queue be written?
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Health> {
        self.0.health.clone()
    }

    /// Resolves when a file of the queue was removed, replaced or moved: [close](Self::close) it then, which saves what it
    /// holds. Never resolves for a queue that ends otherwise.
    pub async fn displaced(&self) {
        let mut displaced = self.displacement();
        if displaced.wait_for(|displaced| *displaced).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether a file of the queue was removed, replaced or moved; it outlives the queue.
    #[must_use]
    pub fn displacement(&self) -> watch::Receiver<bool> {
        self.0.displaced.clone()
    }

    /// What the writer counts.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.0.stats)
    }

    /// Returns the clock that its worker goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// A view of the queue that does not ask the writer. Blocks for a moment.
    ///
    /// # Errors
    /// The file cannot be used.
    pub fn reader(&self) -> Result<Reader, Error> {
        Reader::open(&self.0.dir)
    }

    /// Carries out what was asked before, empties the log into the database and gives the lease back. A queue whose files are
    /// not in their place is saved into a new file, for as long as that takes.
    ///
    /// # Errors
    /// It was closed before; [`Error::Displaced`], [`Error::Moved`] or [`Error::Returned`] if its files were not
    /// in their place.
    pub async fn close(self) -> Result<(), Error> {
        let (done, ended) = oneshot::channel();
        self.0.thread.stop.set();
        self.0.commands.send(Command::Close(done)).await.map_err(|_| Error::Closed)?;
        ended.await.map_err(|_| Error::Closed)?
    }

    async fn ask<T: Send + 'static>(
        &self,
        rows: usize,
        work: impl FnMut(&mut Ledger) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let task = Task { rows, work, found: None, reply };
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
