//! Detects steps of the wall clock by comparing it with the boot clock.
//!
//! The wall clock (`CLOCK_REALTIME`) can be set at any time, by a person or by NTP. The boot clock (`CLOCK_BOOTTIME`) counts
//! the time since the machine started, suspend included, and cannot be set. Both are slewed together, so they diverge only
//! when the wall clock is stepped.

use std::time::Duration;

use crate::limits::{CLOCK_TOLERANCE, MAX_DOWNTIME};
use crate::time::{BootMicros, UnixMicros};

/// The earliest plausible time, 2026-01-01 00:00 UTC: this program did not exist before.
pub const EARLIEST_TIME: UnixMicros = UnixMicros(1_767_225_600_000_000);

/// The identity of one boot of the machine. Boot clocks of different boots cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(pub i64);

/// The values of both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: UnixMicros,
    /// The boot clock.
    pub uptime: BootMicros,
    /// The boot to which the boot clock belongs; `None` if only the wall clock is known.
    pub boot: Option<BootId>,
}

/// The result of comparing a wall clock with the expected time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// The wall clock shows the expected time, within [`CLOCK_TOLERANCE`].
    Agrees,
    /// The wall clock is ahead of the expected time by this duration.
    Ahead(Duration),
    /// The wall clock is behind the expected time by this duration.
    Behind(Duration),
}

impl Reading {
    /// Returns the reading with which a starting worker compares its clock.
    ///
    /// `stored` is the last trusted reading of an earlier worker. `newest` is the time of the newest admission in the queue, or
    /// 0 if the queue is empty.
    #[must_use]
    pub fn last_known(stored: Option<Self>, newest: UnixMicros, now: &Self) -> Self {
        match stored {
            Some(stored) if stored.is_of_same_boot(now) => stored,
            Some(stored) => Self { wall: stored.wall.max(newest), ..stored },
            None => Self { wall: newest.max(EARLIEST_TIME), uptime: BootMicros(0), boot: None },
        }
    }

    /// Compares a later reading with this reading, which is trusted.
    ///
    /// Within one boot the time between two readings is known exactly. Across a reboot only the lower bound
    /// [`expected_at`](Self::expected_at) is known. In that case a later wall clock counts as ahead if it exceeds this reading by
    /// more than the new uptime and [`MAX_DOWNTIME`].
    #[must_use]
    pub fn agreement(&self, later: &Self) -> Agreement {
        let least = self.expected_at(later);
        let most = match self.boot {
            Some(_) if self.is_of_same_boot(later) => Some(least),
            Some(_) => Some(self.wall.after(later.uptime.since(BootMicros(0))).after(MAX_DOWNTIME)),
            None => None,
        };
        if later.wall < least.before(CLOCK_TOLERANCE) {
            Agreement::Behind(least.since(later.wall))
        } else if most.is_some_and(|most| later.wall > most.after(CLOCK_TOLERANCE)) {
            Agreement::Ahead(later.wall.since(least))
        } else {
            Agreement::Agrees
        }
    }

    /// Returns the time that a worker starting at `now` uses, given that this is the last known reading.
    ///
    /// This is the wall clock, unless it is too early or was stepped forward within this boot.
    #[must_use]
    pub fn resume(&self, now: &Self) -> UnixMicros {
        match self.agreement(now) {
            Agreement::Behind(_) => self.expected_at(now),
            Agreement::Ahead(_) if self.is_of_same_boot(now) => self.expected_at(now),
            Agreement::Agrees | Agreement::Ahead(_) => now.wall,
        }
    }

    /// Returns the earliest time that the wall clock can show at a later reading.
    ///
    /// Where the boot id cannot be read, as in a service with `ProcSubset=pid`, each process has a [`BootId`] of its own. So
    /// readings with different ids may be from one boot, unless the uptime has decreased.
    #[must_use]
    pub fn expected_at(&self, later: &Self) -> UnixMicros {
        let may_be_of_same_boot = self.boot.is_some() && later.uptime >= self.uptime;
        let since = if may_be_of_same_boot { self.uptime } else { BootMicros(0) };
        self.wall.after(later.uptime.since(since))
    }

    fn is_of_same_boot(&self, other: &Self) -> bool {
        self.boot.is_some() && self.boot == other.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const START: UnixMicros = UnixMicros(1_800_000_000_000_000);

    fn reading(wall: UnixMicros, uptime: Duration, boot: i64) -> Reading {
        Reading { wall, uptime: BootMicros(0).after(uptime), boot: Some(BootId(boot)) }
    }

    fn trusted() -> Reading {
        reading(START, 5 * HOUR, 1)
    }

    #[test]
    fn steps_within_one_boot_are_detected() {
        let later = |wall| trusted().agreement(&reading(wall, 6 * HOUR, 1));
        let expected = START.after(HOUR);
        assert_eq!(later(expected), Agreement::Agrees);
        assert_eq!(later(expected.after(CLOCK_TOLERANCE)), Agreement::Agrees);
        assert_eq!(later(expected.before(CLOCK_TOLERANCE)), Agreement::Agrees);
        assert_eq!(later(expected.after(40 * DAY)), Agreement::Ahead(40 * DAY));
        assert_eq!(later(START), Agreement::Behind(HOUR));
    }

    #[test]
    fn suspend_counts_as_elapsed_time() {
        let woken = reading(START.after(8 * HOUR), 13 * HOUR, 1);
        assert_eq!(trusted().agreement(&woken), Agreement::Agrees);
    }

    #[test]
    fn clock_may_be_ahead_but_not_behind_after_a_reboot() {
        let later = |wall| trusted().agreement(&reading(wall, HOUR, 2));
        assert_eq!(later(START.after(HOUR)), Agreement::Agrees);
        assert_eq!(later(START.after(HOUR + DAY)), Agreement::Agrees);
        assert_eq!(later(START.after(HOUR + 2 * DAY)), Agreement::Ahead(2 * DAY));
        assert_eq!(later(START), Agreement::Behind(HOUR), "the machine has been up for an hour");
        assert_eq!(later(UnixMicros(0)), Agreement::Behind(START.after(HOUR).since(UnixMicros(0))));
    }

    #[test]
    fn unknown_boot_may_be_the_same_boot_or_a_new_one() {
        let later = |wall| trusted().agreement(&reading(wall, 6 * HOUR, 2));
        assert_eq!(later(START.after(HOUR)), Agreement::Agrees, "only the worker restarted");
        assert_eq!(later(START.after(6 * HOUR + DAY)), Agreement::Agrees, "the machine was off for a day");
        assert_eq!(later(START.after(7 * HOUR + DAY)), Agreement::Ahead(DAY + 6 * HOUR));
        assert_eq!(later(START), Agreement::Behind(HOUR));
    }

    #[test]
    fn newest_admission_is_the_last_known_time_if_none_is_stored() {
        let now = reading(START.after(300 * DAY), HOUR, 2);
        assert_eq!(Reading::last_known(None, START, &now).agreement(&now), Agreement::Agrees);
        let back = reading(START.before(DAY), Duration::ZERO, 2);
        assert_eq!(Reading::last_known(None, START, &back).agreement(&back), Agreement::Behind(DAY));
        let empty = Reading::last_known(None, UnixMicros(0), &reading(UnixMicros(0), HOUR, 2));
        assert_eq!(empty.wall, EARLIEST_TIME);
    }

    #[test]
    fn newest_admission_raises_the_last_known_time_after_a_reboot() {
        let newest = START.after(HOUR);
        let rebooted = Reading::last_known(Some(trusted()), newest, &reading(START, HOUR, 2));
        assert_eq!(rebooted.wall, newest);
        assert_eq!(Reading::last_known(Some(trusted()), newest, &trusted()), trusted());
    }

    #[test]
    fn resumed_time_is_never_too_early() {
        let resumed = |wall, uptime, boot| trusted().resume(&reading(wall, uptime, boot));
        assert_eq!(resumed(START.after(HOUR), 6 * HOUR, 1), START.after(HOUR));
        assert_eq!(resumed(START, 6 * HOUR, 1), START.after(HOUR), "stepped back");
        assert_eq!(resumed(START.after(40 * DAY), 6 * HOUR, 1), START.after(HOUR), "stepped forward");
        assert_eq!(resumed(UnixMicros(0), HOUR, 2), START.after(HOUR), "booted in 1970");
        let late = START.after(40 * DAY);
        assert_eq!(resumed(late, HOUR, 2), late, "the machine may have been off");
    }
}
