//! The whole worker: intake on its own thread, everything else on the caller's.

use std::sync::{Arc, Mutex};

use decnet_bus::Source;
use decnet_core::limits::MAX_UNPUBLISHED;
use decnet_store::catalog::Catalog;
use decnet_store::queue::Queue;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::dispatcher::{Dispatcher, Error, Inputs};
use crate::intake::{Intake, Reading};
use crate::options::Options;
use crate::stats::Stats;

/// A worker, ready to run.
pub struct Worker {
    /// Its settings.
    pub options: Options,
    /// Where deliveries rest.
    pub queue: Queue,
    /// Who is subscribed.
    pub catalog: Catalog,
    /// Where events come from; `None` for a worker without a bus, which only delivers what is queued.
    pub source: Option<Source>,
    /// Where it counts what it does.
    pub stats: Arc<Stats>,
    /// Rung by whoever in this process has submitted events to the queue (`notify_one`), so that they are taken at once.
    pub nudge: Arc<Notify>,
}

impl Worker {
    /// Runs until `shutdown` or a stop request on the bus; requests in flight then get their grace, and what is
    /// admitted and not delivered stays in the queue.
    ///
    /// Must run inside a [`tokio::task::LocalSet`].
    ///
    /// # Errors
    /// The subscriptions cannot be read for the first time, or the queue has become unusable.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let (batch_sender, batches) = mpsc::unbounded_channel();
        let (signal_sender, signals) = mpsc::unbounded_channel();
        let (cover, wanted) = watch::channel(None);
        let (publication_sender, publications) = mpsc::channel(MAX_UNPUBLISHED);
        let catalog = Arc::new(Mutex::new(self.catalog));
        let heartbeat = self.options.heartbeat_interval;
        let (health, clock) = (self.queue.health(), self.queue.clock().clone());
        let spans = self.options.spans.clone();
        let mut dispatcher =
            Dispatcher::start(self.options, self.queue, catalog, Arc::clone(&self.stats), publication_sender)
                .await?;
        let (stats, nudge) = (self.stats, self.nudge);
        let intake = self.source.map(|source| Intake {
            source,
            batches: batch_sender,
            signals: signal_sender,
            wanted,
            reading: Reading::default(),
            heartbeat,
            health,
            clock,
            stats,
            publications,
            wants_bus_health: false,
        });
        let has_intake = intake.is_some();
        if !has_intake {
            tracing::warn!("there is no bus: only what is queued or submitted is delivered");
        }
        let thread = intake.map(|intake| intake.spawn(shutdown.clone())).transpose()?;
        let result =
            dispatcher.run(Inputs { batches, signals, has_intake, cover, nudge }, shutdown.clone()).await;
        shutdown.cancel();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the intake panicked; what it had handed over is safe");
        }
        if let Some(spans) = spans {
            spans.end();
        }
        result
    }
}
