//! The settings of the worker.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::RetrySchedule;
use decnet_core::limits;
use decnet_sender as sender;
use decnet_store::queue::Retention;

use crate::spans::SpanSink;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings of the worker. The defaults are safe.
#[derive(Debug, Clone)]
pub struct Options {
    /// The maximum number of requests in flight per subscription.
    pub concurrency: usize,
    /// The maximum number of requests in flight across all subscriptions.
    pub total_concurrency: usize,
    /// The schedule of retries.
    pub schedule: RetrySchedule,
    /// The number of consecutive failed deliveries that trip a subscription.
    pub circuit_threshold: u32,
    /// The number of waiting deliveries of one subscription at which a warning is published, as also at half this number; 0 for
    /// no warning.
    pub backlog_threshold: u64,
    /// The first and the longest delay between probes of a tripped subscription.
    pub probe_delay: (Duration, Duration),
    /// The time between two reloads of the subscriptions, which take place in case a change signal was lost.
    pub reload_interval: Duration,
    /// The file with the table of severities; without it, the default table applies.
    pub severity_file: Option<Arc<Path>>,
    /// The origin under which people reach the dashboard, to which messages for people link; without it, they contain no links.
    pub link_base: Option<Box<str>>,
    /// The time between two writes of the subscriptions' health, and between two heartbeats of the loop.
    pub record_interval: Duration,
    /// The time between two heartbeats on the bus.
    pub heartbeat_interval: Duration,
    /// The time that requests in flight have to complete when the worker stops.
    pub shutdown_grace: Duration,
    /// Whether a stop ends the windows of digests and sends them, instead of leaving their events for the next start.
    pub sends_digests_at_stop: bool,
    /// The limits on the age and size of settled and parked deliveries.
    pub retention: Retention,
    /// The time between two passes of retention.
    pub retention_interval: Duration,
    /// The sink for the spans of every event and attempt, if tracing is enabled.
    pub spans: Option<Arc<dyn SpanSink>>,
    /// The settings of the sender.
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
            severity_file: None,
            link_base: None,
            record_interval: limits::LIVENESS_INTERVAL,
            heartbeat_interval: limits::HEARTBEAT_INTERVAL,
            shutdown_grace: limits::SHUTDOWN_GRACE,
            sends_digests_at_stop: false,
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
