//! The observable state of a worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::Stats;
use decnet_dispatch::clock::Clock;
use decnet_store::queue::{self, Health, Queue};
use tokio::sync::watch;

use super::otlp::DroppedSpans;
use crate::config::Config;

/// The observable state of a worker: shared counters and paths of its files. Reading it does not involve the worker.
#[derive(Debug, Clone)]
pub(crate) struct WorkerView {
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
}

impl WorkerView {
    /// Creates the view of a new worker.
    pub(crate) fn new(stats: Arc<Stats>, queue: &Queue, config: &Config, has_bus: bool) -> Self {
        let clock = queue.clock().clone();
        Self {
            stats,
            queue: queue.stats(),
            health: queue.health(),
            data_dir: config.data_dir.clone(),
            max_bytes: config.retention.bytes,
            has_bus,
            started_at: clock.wall(),
            started: clock.uptime(),
            clock,
            dropped_spans: Arc::default(),
        }
    }

    /// Returns why the queue cannot be written and for how long; `None` if it can.
    pub(super) fn degraded(&self) -> Option<(String, Duration)> {
        match &*self.health.borrow() {
            Health::Ok => None,
            Health::Degraded { error, since } => Some((error.clone(), since.elapsed())),
        }
    }
}
