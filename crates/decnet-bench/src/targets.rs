//! Targets of the rows. Ratios compare with a reference of the same run, because machines differ and their speed varies.

use crate::report::Target::{self, AtLeast, AtMost};

const MILLI: f64 = 1e3;
const MIB: f64 = 1024.0 * 1024.0;

/// Ratio of durable deliveries per second to requests per second of the bare sender.
pub(crate) const FAN_OUT_1: Target = AtLeast(0.60);
/// The ratio of [`FAN_OUT_1`] when each event goes to ten subscriptions.
pub(crate) const FAN_OUT_10: Target = AtLeast(0.70);
/// Ratio of the worker's CPU time per delivery to the bare sender's CPU time per request.
pub(crate) const CPU: Target = AtMost(1.6);
/// Time from publish to receipt, in microseconds.
pub(crate) const LATENCY_P50: Target = AtMost(1.5 * MILLI);
pub(crate) const LATENCY_P99: Target = AtMost(5.0 * MILLI);
/// Events committed per second while one client publishes flat out.
pub(crate) const BURST: Target = AtLeast(100_000.0);
/// Number of events lost or delivered twice.
pub(crate) const NONE: Target = AtMost(0.0);
/// Ratio of the healthy receivers' p99 alongside bad receivers to their p99 alone.
pub(crate) const ISOLATION_P99: Target = AtMost(2.0);
/// Ratio of the healthy receivers' deliveries per second alongside bad receivers to their rate alone.
pub(crate) const ISOLATION_RATE: Target = AtLeast(0.95);
/// Ratio of deliveries per second to a thousand receivers to the bare sender's rate to the same receivers.
pub(crate) const RECEIVERS: Target = AtLeast(0.6);
/// Topics routed per second on one core.
pub(crate) const ROUTING: Target = AtLeast(3_000_000.0);
/// Time from the start of the worker to its first heartbeat with 100,000 subscriptions, in microseconds.
pub(crate) const READY: Target = AtMost(2000.0 * MILLI);
/// Time from the signal to the first delivery by the changed row, in microseconds; also the bound of the delay that the change
/// may cause for any event.
pub(crate) const RELOAD: Target = AtMost(100.0 * MILLI);
/// Resident memory with 100,000 subscriptions, in bytes.
pub(crate) const SUBSCRIPTIONS_MEMORY: Target = AtMost(400.0 * MIB);
/// Resident memory of an idle worker, in bytes.
pub(crate) const IDLE_MEMORY: Target = AtMost(30.0 * MIB);
/// Resident memory with a million pending deliveries, in bytes.
pub(crate) const PENDING_MEMORY: Target = AtMost(150.0 * MIB);
/// Disk space per pending delivery with a body of 600 bytes, in bytes.
pub(crate) const PENDING_DISK: Target = AtMost(1.2 * 1024.0);
/// Time from exec to the first delivery of a backlog, in microseconds.
pub(crate) const RESTART: Target = AtMost(1000.0 * MILLI);
/// Throughput after many deliveries have been settled, relative to the throughput before.
pub(crate) const LINEAR: Target = AtLeast(0.90);
/// Ratio of p99 while retention runs to p99 without it. The bound is the difference that a repetition of the same measurement
/// shows.
pub(crate) const RETENTION_P99: Target = AtMost(1.5);
/// Time of one filter for an event of 600 bytes, in microseconds.
pub(crate) const FILTER: Target = AtMost(2.0);
/// Time to render an event of 600 bytes in a format, in microseconds.
pub(crate) const FORMAT: Target = AtMost(5.0);
/// Ratio of the worker's CPU time per delivery with 100 open pages of the dashboard to that without.
pub(crate) const OPEN_PAGES_CPU: Target = AtMost(1.02);
/// Ratio of deliveries per second over TLS to the bare sender's rate over TLS.
pub(crate) const TLS: Target = AtLeast(0.6);
