//! What an operator can set.

use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::RetrySchedule;
use decnet_core::limits;
use decnet_store::queue::Retention;

use crate::sender;
use crate::spans::Spans;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The worker's settings; the defaults are the safe ones.
#[derive(Debug, Clone)]
pub struct Options {
    /// Requests in flight to one subscription.
    pub concurrency: usize,
    /// Requests in flight over all subscriptions.
    pub total_concurrency: usize,
    /// When failed attempts are tried again.
    pub schedule: RetrySchedule,
    /// Deliveries failed in a row that trip a subscription.
    pub circuit_threshold: u32,
    /// Deliveries waiting for one subscription that are worth a warning, as half of them are; 0 for none.
    pub backlog_threshold: u64,
    /// First and longest wait between probes of a tripped subscription.
    pub probe_delay: (Duration, Duration),
    /// Reload of the subscriptions in case the signal was lost.
    pub reload_interval: Duration,
    /// Time between two writes of the subscriptions' health, and between two beats of the loop.
    pub record_interval: Duration,
    /// Time between two heartbeats on the bus.
    pub heartbeat_interval: Duration,
    /// What requests in flight get when the worker stops.
    pub shutdown_grace: Duration,
    /// How long settled and parked deliveries are kept.
    pub retention: Retention,
    /// Time between two rounds of retention.
    pub retention_interval: Duration,
    /// Who takes the spans of every event and attempt, if anybody traces.
    pub spans: Option<Arc<dyn Spans>>,
    /// How requests are made.
    pub sender: sender::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            concurrency: limits::MAX_ADAPTIVE_CONCURRENCY,
            total_concurrency: limits::DEFAULT_TOTAL_CONCURRENCY,
            schedule: RetrySchedule::default(),
            circuit_threshold: limits::DEFAULT_CIRCUIT_THRESHOLD,
            backlog_threshold: limits::DEFAULT_BACKLOG_THRESHOLD,
            probe_delay: (limits::MIN_PROBE_DELAY, limits::MAX_PROBE_DELAY),
            reload_interval: limits::RELOAD_INTERVAL,
            record_interval: limits::PULSE_INTERVAL,
            heartbeat_interval: limits::HEARTBEAT_INTERVAL,
            shutdown_grace: limits::SHUTDOWN_GRACE,
            retention: Retention {
                delivered_age: DAY * 7,
                dead_age: DAY * 30,
                parked_age: DAY * 30,
                max_bytes: 10 << 30,
                parked: Arc::default(),
            },
            retention_interval: Duration::from_secs(60),
            spans: None,
            sender: sender::Options::default(),
        }
    }
}
