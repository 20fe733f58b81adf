//! The time of day, which all but the bus read here, and the clock of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use decnet_core::clock::{Agreement, BootId, Reading};
use decnet_core::limits::CLOCK_SLEW;
use decnet_core::time::{BootMicros, UnixMicros};
use rustix::time::{ClockId, clock_gettime};

/// Readings of both clocks of which the best one counts.
const READINGS: u32 = 8;
/// A reading that took no longer is good enough.
const PRECISION: Duration = Duration::from_micros(100);

/// Returns the time of the system's wall clock.
#[must_use]
pub fn now() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMicros(0).after(since_epoch)
}

/// The clock of a worker; clones share it.
///
/// | reads | for |
/// |---|---|
/// | [`uptime`](Self::uptime) | whatever waits in memory: rates, linger, probes, timers |
/// | [`now`](Self::now) | when a stored retry is due, and how old something in the queue is |
/// | [`wall`](Self::wall) | what others see: signatures, events, attempts, the subscriptions' rows |
/// | [`admission`](Self::admission) | when an event was admitted |
///
/// [`now`](Self::now) is the wall clock while that can be trusted. When the wall clock is stepped it goes on by the boot clock,
/// until the worker [corrects](Self::correct) it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    boot: BootId,
    /// What [`Clock::now`] adds to the boot clock, in microseconds.
    offset: AtomicI64,
    /// See [`Clock::doubt`]; 0 if there is none.
    doubt: AtomicI64,
    /// What tests add to the wall clock, in microseconds.
    stepped: AtomicI64,
    /// What tests add to both clocks, in microseconds.
    slept: AtomicI64,
}

impl Default for Clock {
    /// The clock of this system, which is trusted at first.
    fn default() -> Self {
        let clock = Self(Arc::new(Shared {
            boot: boot_id(),
            offset: AtomicI64::new(0),
            doubt: AtomicI64::new(0),
            stepped: AtomicI64::new(0),
            slept: AtomicI64::new(0),
        }));
        clock.correct();
        clock
    }
}

impl Clock {
    /// Returns the time of the wall clock, right or wrong.
    #[must_use]
    pub fn wall(&self) -> UnixMicros {
        let added = load(&self.0.stepped).saturating_add(load(&self.0.slept));
        UnixMicros(now().0.saturating_add(added))
    }

    /// Returns the time since the machine started. Nobody can set it, and suspend counts.
    #[must_use]
    pub fn uptime(&self) -> BootMicros {
        BootMicros(boot_clock().0.saturating_add(load(&self.0.slept)))
    }

    /// Returns the time that the worker goes by.
    #[must_use]
    pub fn now(&self) -> UnixMicros {
        self.time_at(self.uptime())
    }

    /// Returns [`now`](Self::now), unless the wall clock is in doubt: then nothing may be removed for its age.
    #[must_use]
    pub fn trusted_now(&self) -> Option<UnixMicros> {
        self.doubt().is_none().then(|| self.now())
    }

    /// Returns the time at which an event is admitted now: the later of [`now`](Self::now) and the wall clock, so that an event
    /// never counts as older than it is, whichever of them is wrong.
    #[must_use]
    pub fn admission(&self) -> UnixMicros {
        self.now().max(self.wall())
    }

    /// Returns what [`now`](Self::now) is at a time of the boot clock.
    #[must_use]
    pub fn time_at(&self, at: BootMicros) -> UnixMicros {
        UnixMicros(at.0.saturating_add(load(&self.0.offset)))
    }

    /// Returns the time of the boot clock at which [`now`](Self::now) is `at`.
    #[must_use]
    pub fn uptime_at(&self, at: UnixMicros) -> BootMicros {
        BootMicros(at.0.saturating_sub(load(&self.0.offset)))
    }

    /// Returns what the wall clock will show at a time of the boot clock, if it is not set.
    #[must_use]
    pub fn wall_at(&self, at: BootMicros) -> UnixMicros {
        UnixMicros(self.time_at(at).0.saturating_add(self.difference()))
    }

    /// Reads both clocks, as nearly at the same moment as the scheduler allows.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let read = || {
            let (before, wall, after) = (self.uptime(), self.wall(), self.uptime());
            let uptime = BootMicros(i64::midpoint(before.0, after.0));
            (after.since(before), Reading { wall, uptime, boot: Some(self.0.boot) })
        };
        let mut best = read();
        for _ in 1..READINGS {
            if best.0 <= PRECISION {
                break;
            }
            let (width, reading) = read();
            if width < best.0 {
                best = (width, reading);
            }
        }
        best.1
    }

    /// Returns how far the wall clock is ahead of [`now`](Self::now), in microseconds; negative if it is behind.
    #[must_use]
    pub fn difference(&self) -> i64 {
        let reading = self.reading();
        reading.wall.0.saturating_sub(self.time_at(reading.uptime).0)
    }

    /// Returns how far the wall clock was ahead of the expected time when it was last looked at, in microseconds, negative if it
    /// was behind; `None` if it can be trusted.
    #[must_use]
    pub fn doubt(&self) -> Option<i64> {
        Some(load(&self.0.doubt)).filter(|doubt| *doubt != 0)
    }

    /// Notes whether the wall clock can be trusted. Returns whether it was in doubt until now.
    pub fn judge(&self, agreement: Agreement) -> bool {
        let micros = |by: Duration| i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let doubt = match agreement {
            Agreement::Agrees => 0,
            Agreement::Ahead(by) => micros(by),
            Agreement::Behind(by) => -micros(by),
        };
        self.0.doubt.swap(doubt, Ordering::Relaxed) != 0
    }

    /// Lets [`now`](Self::now) be `at`.
    pub fn set(&self, at: UnixMicros) {
        self.0.offset.store(at.0.saturating_sub(self.uptime().0), Ordering::Relaxed);
    }

    /// Lets [`now`](Self::now) be what the wall clock shows.
    pub fn correct(&self) {
        self.0.offset.fetch_add(self.difference(), Ordering::Relaxed);
    }

    /// Moves [`now`](Self::now) towards the wall clock by up to [`CLOCK_SLEW`], so that a small step makes nothing wait.
    pub fn follow(&self) {
        let most = i64::try_from(CLOCK_SLEW.as_micros()).unwrap_or(i64::MAX);
        self.0.offset.fetch_add(self.difference().clamp(-most, most), Ordering::Relaxed);
    }

    /// Steps the wall clock that this clock shows, by microseconds. For tests.
    pub fn step(&self, by: i64) {
        self.0.stepped.fetch_add(by, Ordering::Relaxed);
    }

    /// Lets time pass on both clocks, as during a suspend. For tests.
    pub fn sleep(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        self.0.slept.fetch_add(micros, Ordering::Relaxed);
    }
}

fn load(value: &AtomicI64) -> i64 {
    value.load(Ordering::Relaxed)
}

fn boot_clock() -> BootMicros {
    let time = clock_gettime(ClockId::Boottime);
    BootMicros(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000))
}

/// Identifies this run of the machine. Where the kernel does not say, each process counts as a run of its own.
fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = text.and_then(|text| uuid::Uuid::parse_str(text.trim()).ok()).unwrap_or_else(uuid::Uuid::new_v4);
    #[expect(clippy::cast_possible_truncation, reason = "half of the id tells two runs apart")]
    BootId(id.as_u128() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn a_step_of_the_wall_clock_moves_neither_uptime_nor_now() {
        let clock = Clock::default();
        let (uptime, now) = (clock.uptime(), clock.now());
        clock.step(-HOUR);
        assert!(clock.uptime() >= uptime && clock.now() >= now);
        assert!(clock.wall() < now, "the wall clock shows the step");
        assert!(clock.admission() >= now, "never too early");
        clock.step(3 * HOUR);
        assert!(clock.admission() > now.after(Duration::from_secs(3600)), "never too early either");
    }

    #[test]
    fn small_differences_are_followed_and_large_ones_corrected() {
        let clock = Clock::default();
        clock.step(-50_000_000);
        let before = clock.time_at(BootMicros(0));
        clock.follow();
        assert_eq!(before.since(clock.time_at(BootMicros(0))), CLOCK_SLEW);
        clock.step(HOUR);
        clock.correct();
        assert!(clock.difference().abs() < 1_000_000);
    }

    #[test]
    fn a_clock_in_doubt_has_no_trusted_time() {
        let clock = Clock::default();
        let hour = Duration::from_secs(3600);
        assert!(clock.trusted_now().is_some() && !clock.judge(Agreement::Behind(hour)));
        assert_eq!((clock.trusted_now(), clock.doubt()), (None, Some(-HOUR)));
        assert!(clock.judge(Agreement::Ahead(hour)) && clock.doubt() == Some(HOUR));
        assert!(clock.judge(Agreement::Agrees) && clock.trusted_now().is_some());
    }

    #[test]
    fn time_asleep_counts_on_both_clocks() {
        let clock = Clock::default();
        let before = clock.reading();
        clock.sleep(Duration::from_secs(3600));
        let after = clock.reading();
        assert!(after.wall.since(before.wall) >= Duration::from_secs(3600));
        assert!(after.uptime.since(before.uptime) >= Duration::from_secs(3600));
        assert_eq!(after.boot, before.boot);
    }

    #[test]
    fn times_convert_both_ways() {
        let clock = Clock::default();
        let at = clock.now().after(Duration::from_secs(60));
        assert_eq!(clock.time_at(clock.uptime_at(at)), at);
        clock.step(HOUR);
        let shown = clock.wall_at(clock.uptime_at(at));
        assert!(shown.since(at) >= Duration::from_secs(3590), "what the wall clock will show then");
    }
}
