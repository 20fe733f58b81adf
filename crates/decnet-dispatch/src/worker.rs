//! The worker: the intake runs on its own thread, everything else on the caller's thread.

use std::sync::{Arc, Mutex};

use decnet_bus::Source;
use decnet_core::limits::MAX_UNPUBLISHED_EVENTS;
use decnet_runtime::log_throttle::LogThrottle;
use decnet_store::catalog::Catalog;
use decnet_store::queue::Queue;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::dispatcher::{Dispatcher, Error, Inputs};
use crate::intake::{Intake, OffsetTracker};
use crate::options::Options;
use crate::stats::Stats;

/// A worker, ready to run.
pub struct Worker {
    /// The settings.
    pub options: Options,
    /// The queue of deliveries.
    pub queue: Queue,
    /// The catalog of subscriptions.
    pub catalog: Catalog,
    /// The connection to the bus; `None` for a worker without a bus, which delivers only queued and submitted events.
    pub source: Option<Source>,
    /// The metrics to update.
    pub stats: Arc<Stats>,
    /// Notified (`notify_one`) by code of this process that has submitted events to the queue, so that they are taken at once.
    pub nudge: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown` or a stop request on the bus. Requests in flight then have [`Options::shutdown_grace`] to
    /// complete; undelivered events stay in the queue.
    ///
    /// Must run inside a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// The first load of the subscriptions failed, a thread could not be started, or the queue has become unusable.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (batch_sender, batches) = mpsc::unbounded_channel();
        let (signal_sender, signals) = mpsc::unbounded_channel();
        let (cover_sender, cover) = watch::channel(None);
        let (publication_sender, publications) = mpsc::channel(MAX_UNPUBLISHED_EVENTS);
        let catalog = Arc::new(Mutex::new(self.catalog));
        let spans = self.options.spans.clone();
        let intake = self.source.map(|source| Intake {
            source,
            batches: batch_sender,
            signals: signal_sender,
            cover,
            offsets: OffsetTracker::default(),
            heartbeat: self.options.heartbeat_interval,
            health: self.queue.health(),
            clock: self.queue.clock().clone(),
            stats: Arc::clone(&self.stats),
            malformed_log: LogThrottle::default(),
            publications,
            covers_bus_health: false,
        });
        let mut dispatcher =
            Dispatcher::start(self.options, self.queue, catalog, self.stats, publication_sender).await?;
        let has_intake = intake.is_some();
        if !has_intake {
            tracing::warn!("running without a bus; only queued and submitted events are delivered");
        }
        let thread = intake.map(|intake| intake.spawn(shutdown.clone())).transpose()?;
        let inputs = Inputs { batches, signals, has_intake, cover: cover_sender, nudge: self.nudge };
        let result = dispatcher.run(inputs, shutdown.clone()).await;
        shutdown.cancel();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!(
                "the intake thread panicked; events that reached the dispatcher are not affected"
            );
        }
        if let Some(spans) = spans {
            spans.end();
        }
        result
    }
}
