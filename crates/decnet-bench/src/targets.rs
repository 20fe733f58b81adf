//! What each row ought to come to. Ratios are to a reference of the same run, since machines differ and have moods.

use crate::report::Target::{self, AtLeast, AtMost};

const MILLI: f64 = 1e3;
const MIB: f64 = 1024.0 * 1024.0;

/// Durable deliveries a second, of the bare sender's.
pub(crate) const FAN_OUT_1: Target = AtLeast(0.60);
/// The same where each event goes to ten subscriptions.
pub(crate) const FAN_OUT_10: Target = AtLeast(0.70);
/// CPU of the worker's process for a delivery, of the bare sender's for a request.
pub(crate) const CPU: Target = AtMost(1.6);
/// From publish to receipt, in microseconds.
pub(crate) const LATENCY_P50: Target = AtMost(1.5 * MILLI);
pub(crate) const LATENCY_P99: Target = AtMost(5.0 * MILLI);
/// Events a second that are committed while one client publishes flat out.
pub(crate) const BURST: Target = AtLeast(100_000.0);
/// Events lost or delivered twice, of any row.
pub(crate) const NONE: Target = AtMost(0.0);
/// p99 of the healthy ones beside bad ones, of theirs alone.
pub(crate) const ISOLATION_P99: Target = AtMost(2.0);
/// Deliveries a second of the healthy ones beside bad ones, of theirs alone.
pub(crate) const ISOLATION_RATE: Target = AtLeast(0.95);
/// Deliveries a second to a thousand receivers, of the bare sender's to the same.
pub(crate) const RECEIVERS: Target = AtLeast(0.6);
/// Topics routed a second on one core.
pub(crate) const ROUTING: Target = AtLeast(3_000_000.0);
/// A hundred thousand subscriptions: from the process's start to its first heartbeat, in microseconds.
pub(crate) const READY: Target = AtMost(2000.0 * MILLI);
/// From the signal to the first delivery by the changed row, in microseconds; nor may any event be later for it.
pub(crate) const RELOAD: Target = AtMost(100.0 * MILLI);
/// Resident memory with a hundred thousand subscriptions, in bytes.
pub(crate) const SUBSCRIPTIONS_MEMORY: Target = AtMost(400.0 * MIB);
/// Resident memory of an idle worker, in bytes.
pub(crate) const IDLE_MEMORY: Target = AtMost(30.0 * MIB);
/// Resident memory with a million deliveries pending, in bytes.
pub(crate) const PENDING_MEMORY: Target = AtMost(150.0 * MIB);
/// On the disk for each pending delivery with a body of 600 bytes, in bytes.
pub(crate) const PENDING_DISK: Target = AtMost(1.2 * 1024.0);
/// From exec to the first delivery of a backlog, in microseconds.
pub(crate) const RESTART: Target = AtMost(1000.0 * MILLI);
/// Deliveries a second after many are settled, of those before.
pub(crate) const LINEAR: Target = AtLeast(0.90);
/// p99 while retention runs, of p99 without it: what a repetition of the same measurement differs by.
pub(crate) const RETENTION_P99: Target = AtMost(1.5);
/// Deliveries a second over TLS, of the bare sender's over TLS.
pub(crate) const TLS: Target = AtLeast(0.6);
