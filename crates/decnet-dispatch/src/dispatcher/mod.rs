//! The loop that owns all lanes. It waits, decides without I/O, and starts tasks on its own thread, whose results arrive in
//! its inbox as [`Done`].
//!
//! A delivery passes through [`submissions`] (unless it comes from the bus), [`selection`], [`admission`], [`claims`], [`attempts`],
//! [`settlements`] and [`circuit`]. In addition there are [`reload`] and [`freshness`], [`health_writeback`], [`retention`],
//! [`external_changes`], [`timekeeping`], [`queue_census`] and [`notices`].

mod admission;
mod attempts;
mod circuit;
mod claims;
mod external_changes;
mod freshness;
mod health_writeback;
mod inbox;
mod notices;
mod queue_census;
mod reload;
mod retention;
mod routing;
mod selection;
mod settlements;
mod shutdown;
mod submissions;
mod timekeeping;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use decnet_store::queue::{self, Queue};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until};
use tokio_util::sync::CancellationToken;

use self::inbox::Inbox;
use self::writes::WriteResult;
use crate::concurrency_limiter::{ConcurrencyLimiter, Permit};
use crate::intake::{BusCover, IncomingBatch, Publication, Signal};
use crate::lanes::Lanes;
use crate::memory_budget::MemoryBudget;
use crate::options::Options;
use crate::stats::Stats;
use crate::timers::Timers;
use decnet_core::limits::LOCAL_FAULT_LOG_INTERVAL;
use decnet_runtime::clock::Clock;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_sender::{self as sender, AttemptResult, Sender};

/// The reason why the dispatcher cannot start or continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue cannot be used, for instance because its file is corrupt.
    #[error("the queue cannot be used: {0}")]
    Queue(#[from] queue::Error),
    /// The first load of the subscriptions failed.
    #[error("cannot load the subscriptions: {0}")]
    Catalog(#[from] decnet_store::catalog::Error),
    /// The thread of the intake could not be started.
    #[error("cannot start the intake: {0}")]
    Intake(#[from] std::io::Error),
    /// The intake has ended before the shutdown.
    #[error("the intake ended unexpectedly; see the log for the reason")]
    IntakeEnded,
}

/// The result of a task.
enum Done {
    Write(WriteResult),
    QueueFailed(queue::Error),
    /// An attempt has finished.
    Finished(attempts::SentRequest, Permit, AttemptResult),
    Reloaded(reload::Reloaded),
    /// The next rows of a reload are to be applied.
    ApplyMore,
    HealthWritten(Vec<health_writeback::LaneChanges>, health_writeback::Recorded),
    Counted(queue_census::Counted),
    Oldest(queue_census::Oldest),
    /// Another thread of this process has submitted events.
    Nudged,
}

/// The inputs of the loop in addition to the results of its own tasks.
pub(crate) struct Inputs {
    /// Events from the bus, in order.
    pub(crate) batches: mpsc::UnboundedReceiver<IncomingBatch>,
    /// Reload and stop requests from the bus.
    pub(crate) signals: mpsc::UnboundedReceiver<Signal>,
    /// Whether there is an intake that sends batches.
    pub(crate) has_intake: bool,
    /// Publishes the patterns that the intake is to subscribe to.
    pub(crate) cover: watch::Sender<Option<BusCover>>,
    /// Notified by other threads of this process that have submitted events.
    pub(crate) nudge: Arc<Notify>,
}

/// The state of the loop.
pub(crate) struct Dispatcher {
    options: Options,
    queue: Queue,
    /// The clock of the queue.
    clock: Clock,
    catalog: reload::SharedCatalog,
    sender: Sender,
    stats: Arc<Stats>,
    inbox: Inbox,

    lanes: Lanes,
    limiter: ConcurrencyLimiter,
    memory: MemoryBudget,
    timers: Timers,

    routing: routing::Routing,
    selection: selection::Selection,
    writes: writes::WritesInFlight,
    settlement: settlements::SettlementBuffer,
    submissions: submissions::Submissions,
    reload: reload::ReloadProgress,
    freshness: freshness::Freshness,
    health: health_writeback::HealthWriteback,
    retention: retention::RetentionPass,
    external_changes: external_changes::ExternalChangePoll,
    time: timekeeping::Timekeeping,
    census: queue_census::QueueCensus,
    notices: notices::Notices,
    local_fault_log: LogThrottle,
    changed_body_log: LogThrottle,
    duplicate_log: LogThrottle,
    is_stopping: bool,
}

impl Dispatcher {
    /// Creates the dispatcher and loads the subscriptions, so that no event is routed by an empty table.
    pub(crate) async fn start(
        options: Options,
        queue: Queue,
        catalog: reload::SharedCatalog,
        stats: Arc<Stats>,
        publications: mpsc::Sender<Publication>,
    ) -> Result<Self, Error> {
        let clock = queue.clock().clone();
        let sender = sender::Options { clock: clock.clone(), ..options.sender.clone() };
        let sender = Sender::new(sender);
        let selection = selection::Selection::new(options.link_base.clone());
        let time = timekeeping::Timekeeping::start(&clock, queue.recorded_times().await?);
        let mut dispatcher = Self {
            limiter: ConcurrencyLimiter::new(options.total_concurrency),
            options,
            queue,
            clock,
            catalog,
            sender,
            stats,
            inbox: Inbox::default(),
            lanes: Lanes::default(),
            memory: MemoryBudget::default(),
            timers: Timers::default(),
            routing: routing::Routing::default(),
            selection,
            writes: writes::WritesInFlight::default(),
            settlement: settlements::SettlementBuffer::default(),
            submissions: submissions::Submissions::default(),
            reload: reload::ReloadProgress::default(),
            freshness: freshness::Freshness::default(),
            health: health_writeback::HealthWriteback::default(),
            retention: retention::RetentionPass::default(),
            external_changes: external_changes::ExternalChangePoll::default(),
            time,
            census: queue_census::QueueCensus::default(),
            notices: notices::Notices::new(publications),
            local_fault_log: LogThrottle::new(LOCAL_FAULT_LOG_INTERVAL),
            changed_body_log: LogThrottle::new(LOCAL_FAULT_LOG_INTERVAL),
            duplicate_log: LogThrottle::default(),
            is_stopping: false,
        };
        dispatcher.load_first().await?;
        dispatcher.load_backlogs().await?;
        Ok(dispatcher)
    }

    /// Runs until `shutdown`, then finishes the requests in flight.
    pub(crate) async fn run(&mut self, mut inputs: Inputs, shutdown: CancellationToken) -> Result<(), Error> {
        let mut reload = ticker(self.options.reload_interval);
        let mut tick = ticker(self.options.record_interval);
        let mut retention = ticker(self.options.retention_interval);
        let (mut done, has_intake) = (Vec::new(), inputs.has_intake);
        self.publish_cover(&inputs);
        self.stats.liveness.record_turn();
        self.check_clock();
        self.check_stored_times();
        self.take_submitted();
        let nudges = tokio::task::spawn_local(forward_nudges(Arc::clone(&inputs.nudge), self.inbox.clone()));
        let watchdog = tokio::task::spawn_local(stop_if_displaced(self.queue.clone(), shutdown.clone()));
        loop {
            let next_timer = self.next_timer();
            let may_admit = has_intake && !self.writes.is_admission_full() && !self.freshness.holds_batch();
            tokio::select! {
                () = self.inbox.filled() => {}
                batch = inputs.batches.recv(), if may_admit => match batch {
                    Some(batch) => self.admit_or_hold(batch),
                    None if shutdown.is_cancelled() => break,
                    None => return Err(Error::IntakeEnded),
                },
                Some(signal) = inputs.signals.recv() => self.handle_signal(signal, &shutdown),
                () = sleep_until(next_timer) => {}
                _ = reload.tick() => self.reload(),
                _ = tick.tick() => self.on_tick(),
                _ = retention.tick() => self.start_retention(),
                () = shutdown.cancelled() => break,
            }
            self.process(&mut done, Some(&inputs))?;
        }
        nudges.abort();
        watchdog.abort();
        self.finish(inputs, done).await
    }

    /// Processes the results of tasks and the due timers, and the actions that become possible as a result. `done` is an empty
    /// buffer.
    fn process(&mut self, done: &mut Vec<Done>, inputs: Option<&Inputs>) -> Result<(), Error> {
        self.inbox.take_into(done);
        for item in done.drain(..) {
            self.on_done(item, inputs)?;
        }
        self.fire_timers();
        self.refill_starved();
        self.settle_if_due();
        self.emit_notices();
        Ok(())
    }

    fn on_done(&mut self, done: Done, inputs: Option<&Inputs>) -> Result<(), Error> {
        match done {
            Done::Write(result) => self.on_write(result),
            Done::QueueFailed(error) => return Err(error.into()),
            Done::Finished(request, permit, result) => self.on_finished(request, permit, result),
            Done::Reloaded(reloaded) => self.on_reloaded(reloaded, inputs),
            Done::ApplyMore => self.apply_more(inputs),
            Done::HealthWritten(batch, result) => self.on_health_written(batch, result),
            Done::Counted(counted) => self.on_counted(counted),
            Done::Oldest(oldest) => self.on_oldest(oldest),
            Done::Nudged => self.take_submitted(),
        }
        Ok(())
    }

    fn handle_signal(&mut self, signal: Signal, shutdown: &CancellationToken) {
        match signal {
            Signal::Reload => {
                self.reload();
                self.poll_external_changes();
            }
            Signal::Changed(offset) => {
                self.on_change_before(offset);
                self.poll_external_changes();
            }
            Signal::Submitted => self.take_submitted(),
            Signal::Stop => shutdown.cancel(),
        }
    }

    /// Runs the periodic checks, about once a second ([`Options::record_interval`]).
    fn on_tick(&mut self) {
        self.stats.liveness.record_turn();
        self.check_clock();
        self.stats.held.set(self.memory.held() as u64);
        self.stats.in_flight.set(self.limiter.in_use() as u64);
        self.end_overdue_hold();
        self.count_if_due();
        self.emit_due_dead();
        self.poll_external_changes();
        self.write_health();
    }

    /// Returns the time at which the next settlement, retry or probe is due, at most a minute from now.
    fn next_timer(&self) -> Instant {
        let longest = Duration::from_secs(60);
        let wait = self.timers.next().map_or(longest, |at| at.since(self.clock.uptime()));
        let timer = Instant::now() + wait.min(longest);
        self.settlement.due_at.map_or(timer, |due_at| due_at.min(timer))
    }
}

/// Forwards nudges to the inbox. This is a separate task, so that it does not slow down the loop.
async fn forward_nudges(nudge: Arc<Notify>, inbox: Inbox) {
    loop {
        nudge.notified().await;
        inbox.put(Done::Nudged);
    }
}

/// Shuts the worker down if a file of the queue was removed, replaced or moved: nothing more is admitted, and closing the
/// queue saves its content.
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
    use decnet_core::topic::Pattern;
    use decnet_store::catalog::{Catalog, Create, NewSubscription};

    use super::*;
    use decnet_runtime::clock;

    /// Starts a dispatcher with one subscription, with its files in `dir`.
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
