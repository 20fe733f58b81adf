//! Bounds of the judgement on the system's clock, and of what is put right when it was wrong.

use std::time::Duration;

use super::{MAX_RETRY_DELAY, PULSE_INTERVAL};

/// Difference between the system's clock and the expected time from which on the clock is not trusted. Smaller ones are the
/// work of NTP, and are followed.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(2 * 60);
/// How far the worker's time follows such a difference with each look at the clock: about a hundredth of the time between two.
pub const CLOCK_SLEW: Duration = Duration::from_millis(10);
/// Longest time for which a machine may have been off without its clock being in doubt when it starts again.
pub const MAX_TIME_OFF: Duration = Duration::from_secs(24 * 60 * 60);
/// Time between two notes of the trusted time in the queue.
pub const CLOCK_NOTE_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// Longest time for which a stored retry can wait: the longest delay of a schedule with its jitter. A retry that is due later
/// was stored while the clock was wrong.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(MAX_RETRY_DELAY.as_secs() * 6 / 5);
/// Rows that one step of putting stored times right changes; a step is one short transaction.
pub const CORRECTION_STEP_ROWS: usize = 1000;

const _: () = assert!(CLOCK_SLEW.as_millis() < PULSE_INTERVAL.as_millis());
// Across a restart of the machine the time is known as exactly as it was last noted.
const _: () = assert!(CLOCK_NOTE_INTERVAL.as_secs() < MAX_TIME_OFF.as_secs());
