//! What there is to see of a worker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::time::{BootMicros, UnixMicros};
use decnet_dispatch::Stats;
use decnet_dispatch::clock::Clock;
use decnet_store::queue::{self, Health, Queue};
use tokio::sync::watch;

use super::otlp::LeftOut;
use crate::config::Config;

/// What there is to see of a worker: shared counters, and where its files are. Reading it asks nothing of the worker.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(super) stats: Arc<Stats>,
    pub(super) queue: Arc<queue::Stats>,
    pub(super) health: watch::Receiver<Health>,
    pub(super) data_dir: PathBuf,
    /// The queue's size above which retention removes.
    pub(super) max_bytes: u64,
    /// Is there to be a bus?
    pub(super) has_bus: bool,
    pub(super) clock: Clock,
    /// When it started, by the wall clock and by the boot clock.
    pub(super) started_at: UnixMicros,
    pub(super) started: BootMicros,
    pub(super) left_out: Arc<LeftOut>,
}

impl Seen {
    /// A worker that has just been made of these.
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
            left_out: Arc::default(),
        }
    }

    /// Why the queue cannot be written, and for how long it could not, if it cannot.
    pub(super) fn degraded(&self) -> Option<(String, Duration)> {
        match &*self.health.borrow() {
            Health::Ok => None,
            Health::Degraded { error, since } => Some((error.clone(), since.elapsed())),
        }
    }
}
