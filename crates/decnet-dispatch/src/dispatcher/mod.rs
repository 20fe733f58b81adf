//! The loop that owns all lanes. It waits, decides by pure functions, and hands work to tasks of its own
//! thread; what they come back with is a [`Done`] in the inbox.
//!
//! In the order of a delivery's way: [`submissions`], [`admission`], [`claims`], [`attempts`], [`settlements`],
//! [`circuit`]; beside it [`reload`] and [`freshness`], [`recording`], [`housekeeping`], [`timekeeping`], [`watching`]
//! and [`telling`].

mod admission;
mod attempts;
mod circuit;
mod claims;
mod freshness;
mod housekeeping;
mod recording;
mod reload;
mod settlements;
mod shutdown;
mod submissions;
mod telling;
mod timekeeping;
mod watching;

use std::sync::Arc;
use std::time::Duration;

use decnet_core::topic::{Pattern, PatternTrie};
use decnet_store::queue::{self, Queue, Settlement, SubscriptionKey};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use self::admission::AdmittedBatch;
use self::attempts::Finished;
use self::claims::ClaimedFor;
use self::freshness::Freshness;
use self::housekeeping::Elsewhere;
use self::reload::{Reloaded, SharedCatalog};
use self::settlements::{Settled, Settling};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::intake::{Batch, Publication, Signal, Wanted};
use crate::lane::Lane;
use crate::local_faults::LocalFaults;
use crate::memory::Memory;
use crate::options::Options;
use crate::sender::{self, Sender};
use crate::slots::Slots;
use crate::stats::Stats;
use crate::timers::Timers;

/// Why the dispatcher cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue refuses to work, for instance because its file is corrupt.
    #[error("the queue: {0}")]
    Queue(#[from] queue::Error),
    /// The first load of the subscriptions failed.
    #[error("the subscriptions: {0}")]
    Catalog(#[from] decnet_store::catalog::Error),
    /// The intake has no thread to run on.
    #[error("the intake cannot be started: {0}")]
    Intake(#[from] std::io::Error),
    /// The intake has ended though nobody asked it to.
    #[error("the intake has ended by itself; the log says why")]
    Deaf,
    /// No requests can be made.
    #[error("the sender: {0}")]
    Sender(#[from] sender::Error),
}

/// What a task of the dispatcher came back with.
enum Done {
    Admitted(AdmittedBatch),
    Claimed(ClaimedFor),
    Finished(Finished),
    Settled(Settled),
    Released(SubscriptionKey),
    ChangedElsewhere(Option<Elsewhere>),
    Reloaded(Reloaded),
    ReloadGoesOn,
    Recorded(recording::Recorded),
    Waiting(Vec<queue::Waiting>),
    Retained(queue::Retained),
    Submitted(queue::Taken),
    /// Somebody in this process has submitted something.
    Nudged,
    Forgotten {
        key: SubscriptionKey,
        more: bool,
    },
    Counted(watching::Counted),
    Oldest(watching::Oldest),
    Corrected(queue::Corrected),
    TimeNoted,
    Broken(queue::Error),
}

/// What the loop waits for besides its own tasks.
pub(crate) struct Inputs {
    /// Events from the bus, in the order they came.
    pub(crate) batches: mpsc::UnboundedReceiver<Batch>,
    /// Reload and stop requests from the bus.
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    /// Does anybody send batches?
    pub(crate) has_intake: bool,
    /// Where the patterns to subscribe to are published.
    pub(crate) cover: watch::Sender<Option<Wanted>>,
    /// Rung by whoever in this process has submitted something.
    pub(crate) nudge: Arc<Notify>,
}

/// The state of the loop.
pub(crate) struct Dispatcher {
    options: Options,
    queue: Queue,
    /// The queue's.
    clock: Clock,
    time: timekeeping::Timekeeping,
    catalog: SharedCatalog,
    sender: Sender,
    stats: Arc<Stats>,
    lanes: FxHashMap<SubscriptionKey, Lane>,
    trie: PatternTrie,
    /// What to subscribe to on the bus.
    cover: Vec<Pattern>,
    slots: Slots,
    inbox: Inbox<Done>,
    /// Retries and probes: when to look at which lane again.
    timers: Timers,
    settlements: Vec<Settlement>,
    settling: Vec<Settling>,
    /// When to write them, if there are any.
    settle_by: Option<Instant>,
    /// Over all lanes.
    memory: Memory,
    /// Commits that somebody waits for.
    writes: usize,
    /// Rows of admissions among them.
    admitting: usize,
    reload: reload::Progress,
    freshness: Freshness,
    recording: bool,
    /// Lanes that have learnt something since the last write of records.
    learnt: Vec<SubscriptionKey>,
    /// The last write of records failed, and that was said.
    record_failed: bool,
    retention: housekeeping::Round,
    looks: housekeeping::Looks,
    watch: watching::Watch,
    telling: telling::Telling,
    local_faults: LocalFaults,
    submissions: submissions::Submissions,
    /// How often something had been erased when we last looked.
    erasures: i64,
    stopping: bool,
    versions: u64,
}

impl Dispatcher {
    /// Loads the subscriptions for the first time, so that no event meets an empty table.
    pub(crate) async fn start(
        options: Options,
        queue: Queue,
        catalog: SharedCatalog,
        stats: Arc<Stats>,
        publications: mpsc::Sender<Publication>,
    ) -> Result<Self, Error> {
        let clock = queue.clock().clone();
        let sender = sender::Options { clock: clock.clone(), ..options.sender.clone() };
        let sender = Sender::new(sender)?;
        let time = timekeeping::Timekeeping::start(&clock, queue.known_times().await?);
        let mut dispatcher = Self {
            slots: Slots::new(options.total_concurrency),
            options,
            queue,
            clock,
            time,
            catalog,
            sender,
            stats,
            lanes: FxHashMap::default(),
            trie: PatternTrie::new([]),
            cover: Vec::new(),
            inbox: Inbox::new(),
            timers: Timers::default(),
            settlements: Vec::new(),
            settling: Vec::new(),
            settle_by: None,
            memory: Memory::default(),
            writes: 0,
            admitting: 0,
            reload: reload::Progress::default(),
            freshness: Freshness::default(),
            recording: false,
            learnt: Vec::new(),
            record_failed: false,
            retention: housekeeping::Round::default(),
            looks: housekeeping::Looks::default(),
            watch: watching::Watch::default(),
            telling: telling::Telling::new(publications),
            local_faults: LocalFaults::default(),
            submissions: submissions::Submissions::default(),
            erasures: 0,
            stopping: false,
            versions: 0,
        };
        dispatcher.load_first().await?;
        dispatcher.look_for_waiting_first().await?;
        Ok(dispatcher)
    }

    /// Runs until `shutdown`, then finishes what is in flight.
    pub(crate) async fn run(&mut self, mut inputs: Inputs, shutdown: CancellationToken) -> Result<(), Error> {
        let mut reload = ticker(self.options.reload_interval);
        let mut record = ticker(self.options.record_interval);
        let mut retain = ticker(self.options.retention_interval);
        let (mut done, has_intake) = (Vec::new(), inputs.has_intake);
        self.publish_cover(&inputs);
        self.stats.pulse.beat();
        self.check_clock();
        self.check_stored_times();
        self.take_submitted();
        let nudges = tokio::task::spawn_local(pass_on(Arc::clone(&inputs.nudge), self.inbox.clone()));
        let watchdog = tokio::task::spawn_local(stop_if_displaced(self.queue.clone(), shutdown.clone()));
        loop {
            let next_timer = self.next_timer();
            let may_admit = has_intake && !self.admits_enough() && !self.freshness.holds_batch();
            tokio::select! {
                () = self.inbox.filled() => {}
                batch = inputs.batches.recv(), if may_admit => match batch {
                    Some(batch) => self.admit_or_hold(batch),
                    None if shutdown.is_cancelled() => break,
                    None => return Err(Error::Deaf),
                },
                Some(signal) = inputs.signals.recv() => self.obey(signal, &shutdown),
                () = sleep_until(next_timer) => {}
                _ = reload.tick() => self.reload(),
                _ = record.tick() => self.on_record_tick(),
                _ = retain.tick() => self.retain(),
                () = shutdown.cancelled() => break,
            }
            self.take_done(&mut done, Some(&inputs))?;
        }
        nudges.abort();
        watchdog.abort();
        self.finish(inputs, done).await
    }

    /// Does all that has become possible: results, due timers, settlements.
    fn take_done(&mut self, done: &mut Vec<Done>, inputs: Option<&Inputs>) -> Result<(), Error> {
        self.inbox.take_into(done);
        for item in done.drain(..) {
            self.on_done(item, inputs)?;
        }
        self.fire_timers();
        self.feed();
        self.settle_if_due();
        self.tell();
        Ok(())
    }

    fn on_done(&mut self, done: Done, inputs: Option<&Inputs>) -> Result<(), Error> {
        match done {
            Done::Admitted(batch) => self.admitted(&batch),
            Done::Claimed(claimed) => self.claimed(claimed),
            Done::Finished(finished) => self.finished(finished),
            Done::Settled(settled) => self.settled(settled),
            Done::Released(key) => self.released(key),
            Done::ChangedElsewhere(elsewhere) => self.changed_elsewhere(elsewhere),
            Done::Reloaded(reloaded) => self.reloaded(reloaded, inputs),
            Done::ReloadGoesOn => self.go_on_applying(inputs),
            Done::Recorded(recorded) => self.recorded(recorded),
            Done::Waiting(waiting) => self.waiting(&waiting),
            Done::Retained(retained) => self.retained(&retained),
            Done::Submitted(taken) => self.submitted(taken),
            Done::Nudged => self.take_submitted(),
            Done::Forgotten { key, more } => self.forgotten(key, more),
            Done::Counted(counted) => self.counted(counted),
            Done::Oldest(oldest) => self.oldest(oldest),
            Done::Corrected(corrected) => self.corrected(corrected),
            Done::TimeNoted => self.time_noted(),
            Done::Broken(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn obey(&mut self, signal: Signal, shutdown: &CancellationToken) {
        match signal {
            Signal::Reload => {
                self.reload();
                self.ask_changed_elsewhere();
            }
            Signal::Changed(place) => {
                self.changed_before(place);
                self.ask_changed_elsewhere();
            }
            Signal::Submitted => self.take_submitted(),
            Signal::Stop => shutdown.cancel(),
        }
    }

    /// Runs a write of the queue and leaves what it comes to in the inbox.
    fn write<T: 'static>(
        &mut self,
        work: impl Future<Output = Result<T, queue::Error>> + 'static,
        then: impl FnOnce(T) -> Done + 'static,
    ) {
        self.writes += 1;
        let inbox = self.inbox.clone();
        tokio::task::spawn_local(async move {
            inbox.put(work.await.map_or_else(Done::Broken, then));
        });
    }

    /// When the next settlement, retry or probe is due, at most a minute from now.
    fn next_timer(&self) -> Instant {
        let longest = Duration::from_secs(60);
        let wait = self.timers.next().map_or(longest, |at| at.since(self.clock.uptime()));
        let timer = Instant::now() + wait.min(longest);
        self.settle_by.map_or(timer, |settle_by| settle_by.min(timer))
    }
}

/// A task of its own, so that the loop's turns do not pay for it.
async fn pass_on(nudge: Arc<Notify>, inbox: Inbox<Done>) {
    loop {
        nudge.notified().await;
        inbox.put(Done::Nudged);
    }
}

/// Ends the loop when a file of the queue was removed, replaced or moved: nothing more is admitted, and the end saves what the
/// queue holds.
async fn stop_if_displaced(queue: Queue, shutdown: CancellationToken) {
    queue.displaced().await;
    shutdown.cancel();
}

fn ticker(every: Duration) -> tokio::time::Interval {
    let mut ticker = interval_at(Instant::now() + every, every);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticker
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use decnet_core::redact::{EndpointUrl, Secret};
    use decnet_core::settings::Settings;
    use decnet_store::catalog::{Catalog, Create, NewSubscription};

    use super::*;
    use crate::clock;

    /// A dispatcher with one subscription, over files in `dir`.
    pub(super) async fn started(dir: &Path) -> Dispatcher {
        let mut catalog = Catalog::open(&dir.join("decnet.db"), Create::IfMissing).unwrap();
        let subscription = NewSubscription {
            name: "siem".into(),
            url: EndpointUrl::new("http://siem.example/").unwrap(),
            secret: Secret::new("a secret of the tests"),
            patterns: vec![Pattern::new("a.>").unwrap()],
            enabled: true,
            settings: Settings::default(),
        };
        catalog.create(&subscription, clock::now()).unwrap();
        let queue = Queue::open(dir, queue::Options::default()).unwrap();
        let (publications, _) = mpsc::channel(1);
        let catalog = Arc::new(Mutex::new(catalog));
        Dispatcher::start(Options::default(), queue, catalog, Arc::default(), publications).await.unwrap()
    }
}
