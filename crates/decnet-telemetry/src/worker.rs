//! The observable state of a worker.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::Stats;
use decnet_runtime::clock::Clock;
use decnet_store::queue::{self, Health, Queue};
use tokio::sync::watch;

use super::otlp::DroppedSpans;
use super::traffic::Recorder;

/// The observable state of a worker: shared counters and paths of its files. Reading it does not involve the worker.
#[derive(Debug, Clone)]
pub struct WorkerView {
    pub(super) stats: Arc<Stats>,
    pub(super) queue: Arc<queue::Stats>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) data_dir: PathBuf,
    /// The size of the queue in bytes above which retention removes rows.
    pub(super) max_bytes: u64,
    /// Whether a bus is configured.
    pub(super) has_bus: bool,
    pub(super) clock: Clock,
    /// The start time, by the wall clock and by the boot clock.
    pub(super) started_at: UnixMicros,
    pub(super) started: BootMicros,
    pub(super) dropped_spans: Arc<DroppedSpans>,
    pub(super) traffic: Arc<Mutex<Recorder>>,
}

impl WorkerView {
    /// Creates the view of a new worker. `data_dir` holds its queue, which retention keeps below `max_bytes`; `has_bus` says
    /// whether a bus is configured.
    #[must_use]
    pub fn new(stats: Arc<Stats>, queue: &Queue, data_dir: PathBuf, max_bytes: u64, has_bus: bool) -> Self {
        let clock = queue.clock().clone();
        let traffic = Arc::new(Mutex::new(Recorder::new(&stats, &clock)));
        Self {
            stats,
            queue: queue.stats(),
            health: queue.health(),
            data_dir,
            max_bytes,
            has_bus,
            started_at: clock.wall(),
            started: clock.uptime(),
            clock,
            dropped_spans: Arc::default(),
            traffic,
        }
    }

    /// Returns the reason and the duration of a queue that cannot be written; `None` if it can.
    pub(super) fn degraded(&self) -> Option<(String, Duration)> {
        match &*self.health.borrow() {
            Health::Ok => None,
            Health::Degraded { error, since } => Some((error.clone(), since.elapsed())),
        }
    }
}
