//! Judges the system's wall clock by its boot clock.
//!
//! The wall clock (`CLOCK_REALTIME`) can be set at any time, by a person or by NTP. The boot clock (`CLOCK_BOOTTIME`) counts
//! the time since the machine started, suspend included, and cannot be set; it is slewed together with the wall clock, so
//! that the two only part when the wall clock is stepped.

use std::time::Duration;

use crate::limits::{CLOCK_TOLERANCE, MAX_TIME_OFF};
use crate::time::{BootMicros, UnixMicros};

/// 2026-01-01 00:00 UTC. A clock that shows an earlier time is wrong: this program did not exist then.
pub const EARLIEST_TIME: UnixMicros = UnixMicros(1_767_225_600_000_000);

/// One run of the machine, from its start to its end. The boot clocks of two runs cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootId(pub i64);

/// Both clocks, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock.
    pub wall: UnixMicros,
    /// The boot clock.
    pub uptime: BootMicros,
    /// The run of the machine that the boot clock belongs to; `None` if only the time is known.
    pub boot: Option<BootId>,
}

/// Whether a wall clock shows the time that can be expected of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agreement {
    /// It does, within [`CLOCK_TOLERANCE`].
    Agrees,
    /// It shows a later time, by so much.
    Ahead(Duration),
    /// It shows an earlier time, by so much.
    Behind(Duration),
}

impl Reading {
    /// What a worker that starts compares its clock with: the last trusted reading that an earlier worker stored, if there is
    /// one, and the newest admission in the queue (0 if it is empty).
    #[must_use]
    pub fn last_known(stored: Option<Self>, newest: UnixMicros, now: &Self) -> Self {
        match stored {
            Some(stored) if stored.is_of_same_boot(now) => stored,
            Some(stored) => Self { wall: stored.wall.max(newest), ..stored },
            None => Self { wall: newest.max(EARLIEST_TIME), uptime: BootMicros(0), boot: None },
        }
    }

    /// Compares a later reading with this one, which was trusted.
    ///
    /// On the same run of the machine the time between them is known. Across a restart of the machine only the bound of
    /// [`expected_at`](Self::expected_at) is known, and a clock that is later than the new uptime and [`MAX_TIME_OFF`] after this
    /// reading counts as ahead.
    #[must_use]
    pub fn agreement(&self, later: &Self) -> Agreement {
        let least = self.expected_at(later);
        let most = match self.boot {
            Some(_) if self.is_of_same_boot(later) => Some(least),
            Some(_) => Some(self.wall.after(later.uptime.since(BootMicros(0))).after(MAX_TIME_OFF)),
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

    /// The time from which a worker that starts at `now` goes on, with this as the last known reading: what the wall clock
    /// shows, unless that is too early, or has been stepped forward during this run of the machine.
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
    /// Where the run of the machine cannot be read, as in a service with `ProcSubset=pid`, each process has a [`BootId`] of its own.
    /// So readings with different ids may be of one run, unless the later uptime is the smaller one.
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
    fn on_one_boot_every_step_beyond_the_tolerance_is_seen() {
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
    fn across_a_reboot_time_off_is_allowed_and_time_lost_is_not() {
        let later = |wall| trusted().agreement(&reading(wall, HOUR, 2));
        assert_eq!(later(START.after(HOUR)), Agreement::Agrees);
        assert_eq!(later(START.after(HOUR + DAY)), Agreement::Agrees);
        assert_eq!(later(START.after(HOUR + 2 * DAY)), Agreement::Ahead(2 * DAY));
        assert_eq!(later(START), Agreement::Behind(HOUR), "the machine has run for an hour since");
        assert_eq!(later(UnixMicros(0)), Agreement::Behind(START.after(HOUR).since(UnixMicros(0))));
    }

    #[test]
    fn an_unknown_run_of_the_machine_is_no_reason_for_doubt() {
        let later = |wall| trusted().agreement(&reading(wall, 6 * HOUR, 2));
        assert_eq!(later(START.after(HOUR)), Agreement::Agrees, "a restart of the worker alone");
        assert_eq!(later(START.after(6 * HOUR + DAY)), Agreement::Agrees, "the machine was off for a day");
        assert_eq!(later(START.after(7 * HOUR + DAY)), Agreement::Ahead(DAY + 6 * HOUR));
        assert_eq!(later(START), Agreement::Behind(HOUR));
    }

    #[test]
    fn without_a_stored_reading_the_newest_record_is_the_lower_bound() {
        let now = reading(START.after(300 * DAY), HOUR, 2);
        assert_eq!(Reading::last_known(None, START, &now).agreement(&now), Agreement::Agrees);
        let back = reading(START.before(DAY), Duration::ZERO, 2);
        assert_eq!(Reading::last_known(None, START, &back).agreement(&back), Agreement::Behind(DAY));
        let empty = Reading::last_known(None, UnixMicros(0), &reading(UnixMicros(0), HOUR, 2));
        assert_eq!(empty.wall, EARLIEST_TIME);
    }

    #[test]
    fn the_newest_record_moves_the_bound_across_a_reboot_only() {
        let newest = START.after(HOUR);
        let rebooted = Reading::last_known(Some(trusted()), newest, &reading(START, HOUR, 2));
        assert_eq!(rebooted.wall, newest);
        assert_eq!(Reading::last_known(Some(trusted()), newest, &trusted()), trusted());
    }

    #[test]
    fn a_worker_goes_on_from_a_time_that_is_never_too_early() {
        let resumed = |wall, uptime, boot| trusted().resume(&reading(wall, uptime, boot));
        assert_eq!(resumed(START.after(HOUR), 6 * HOUR, 1), START.after(HOUR));
        assert_eq!(resumed(START, 6 * HOUR, 1), START.after(HOUR), "stepped back");
        assert_eq!(resumed(START.after(40 * DAY), 6 * HOUR, 1), START.after(HOUR), "stepped forward");
        assert_eq!(resumed(UnixMicros(0), HOUR, 2), START.after(HOUR), "booted in 1970");
        let late = START.after(40 * DAY);
        assert_eq!(resumed(late, HOUR, 2), late, "the machine may have been off");
    }
}
