//! Bounds of the trust in the system clock, and of the correction of stored times.

use std::time::Duration;

use super::{LIVENESS_INTERVAL, MAX_RETRY_DELAY};

/// Difference between the system clock and the expected time above which the clock is not trusted. Smaller differences are
/// corrections by NTP and are followed.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2 * 60);
/// Maximum adjustment of the worker's time per reading of the clock: about a hundredth of the time between two readings.
pub const CLOCK_SLEW: Duration = Duration::from_millis(10);
/// Maximum time for which a machine may have been off without its clock being in doubt when it starts again.
pub const MAX_DOWNTIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two records of the trusted time in the queue.
pub const CLOCK_RECORD_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Maximum wait of a stored retry: the longest delay of a schedule with its jitter. A retry that is due after a
/// longer wait was stored while the clock was wrong.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(MAX_RETRY_DELAY.as_secs() * 6 / 5);
/// Number of rows whose times one correction step changes; a step is one short transaction.
pub const CORRECTION_STEP_ROWS: usize = 1000;

const _: () = assert!(CLOCK_SLEW.as_millis() < LIVENESS_INTERVAL.as_millis());
// After a restart of the machine, the time is known as precisely as it was last recorded.
const _: () = assert!(CLOCK_RECORD_INTERVAL.as_secs() < MAX_DOWNTIME.as_secs());
