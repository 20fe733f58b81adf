//! The wall clock, which all processes except the bus read through this module, and the clock of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use decnet_core::clock::{Agreement, BootId, Reading};
use decnet_core::limits::CLOCK_SLEW;
use decnet_core::time::{BootMicros, UnixMicros};
use rustix::time::{ClockId, clock_gettime};

/// Maximum number of readings of both clocks; the fastest reading is used.
const MAX_READINGS: u32 = 8;
/// Duration of a reading that is sufficiently precise.
const PRECISION: Duration = Duration::from_micros(100);

/// Returns the time of the system's wall clock.
#[must_use]
pub fn now() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMicros(0).after(since_epoch)
}

/// The clock of a worker; clones share it.
///
/// | method | use |
/// |---|---|
/// | [`uptime`](Self::uptime) | waits in memory: rates, linger, probes, timers |
/// | [`now`](Self::now) | the time at which a stored retry is due, and the age of rows in the queue |
/// | [`wall`](Self::wall) | times that others see: signatures, events, attempts, the subscriptions' rows |
/// | [`admission`](Self::admission) | the time at which an event was admitted |
///
/// [`now`](Self::now) is the wall clock while the wall clock is trusted. When the wall clock is stepped, [`now`](Self::now)
/// continues with the boot clock until the worker [corrects](Self::correct) it.
#[derive(Debug, Clone)]
pub struct Clock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    boot: BootId,
    /// The offset of [`Clock::now`] from the boot clock, in microseconds.
    offset: AtomicI64,
    /// See [`Clock::doubt`]; 0 if the wall clock is trusted.
    doubt: AtomicI64,
    /// The offset that tests add to the wall clock, in microseconds.
    stepped: AtomicI64,
    /// The offset that tests add to both clocks, in microseconds.
    slept: AtomicI64,
}

impl Default for Clock {
    /// Returns the clock of this system, which is trusted at first.
    fn default() -> Self {
        let clock = Self(Arc::new(Shared {
            boot: boot_id(),
            offset: AtomicI64::new(0),
            doubt: AtomicI64::new(0),
            stepped: AtomicI64::new(0),
            slept: AtomicI64::new(0),
        }));
        clock.correct(clock.difference());
        clock
    }
}

impl Clock {
    /// Returns the time of the wall clock, even if it is not trusted.
    #[must_use]
    pub fn wall(&self) -> UnixMicros {
        let added = load(&self.0.stepped).saturating_add(load(&self.0.slept));
        UnixMicros(now().0.saturating_add(added))
    }

    /// Returns the time since the machine started, including suspend. This clock cannot be set.
    #[must_use]
    pub fn uptime(&self) -> BootMicros {
        BootMicros(boot_clock().0.saturating_add(load(&self.0.slept)))
    }

    /// Returns the time that the worker uses.
    #[must_use]
    pub fn now(&self) -> UnixMicros {
        self.time_at(self.uptime())
    }

    /// Returns [`now`](Self::now), or `None` if the wall clock is in doubt. In that case nothing may be removed because of its
    /// age.
    #[must_use]
    pub fn trusted_now(&self) -> Option<UnixMicros> {
        self.doubt().is_none().then(|| self.now())
    }

    /// Returns the admission time of an event that is admitted now: the later of [`now`](Self::now) and the wall clock. An event
    /// is therefore never regarded as older than it is, whichever of the two is wrong.
    #[must_use]
    pub fn admission(&self) -> UnixMicros {
        self.now().max(self.wall())
    }

    /// Returns the value of [`now`](Self::now) at a time of the boot clock.
    #[must_use]
    pub fn time_at(&self, at: BootMicros) -> UnixMicros {
        UnixMicros(at.0.saturating_add(load(&self.0.offset)))
    }

    /// Returns the time of the boot clock at which [`now`](Self::now) is `at`.
    #[must_use]
    pub fn uptime_at(&self, at: UnixMicros) -> BootMicros {
        BootMicros(at.0.saturating_sub(load(&self.0.offset)))
    }

    /// Returns the time of the wall clock at a time of the boot clock, if the wall clock is not set before that time.
    #[must_use]
    pub fn wall_at(&self, at: BootMicros) -> UnixMicros {
        UnixMicros(self.time_at(at).0.saturating_add(self.difference()))
    }

    /// Reads both clocks, as simultaneously as the scheduler allows.
    #[must_use]
    pub fn reading(&self) -> Reading {
        let read = || {
            let (before, wall, after) = (self.uptime(), self.wall(), self.uptime());
            let uptime = BootMicros(i64::midpoint(before.0, after.0));
            (after.since(before), Reading { wall, uptime, boot: Some(self.0.boot) })
        };
        let mut best = read();
        for _ in 1..MAX_READINGS {
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

    /// Returns the time by which the wall clock is ahead of [`now`](Self::now), in microseconds; negative if it is behind.
    #[must_use]
    pub fn difference(&self) -> i64 {
        self.difference_at(&self.reading())
    }

    /// Returns [`difference`](Self::difference) at a reading. A decision about one reading must use the difference at that reading,
    /// because the wall clock can be set at any moment.
    #[must_use]
    pub fn difference_at(&self, reading: &Reading) -> i64 {
        reading.wall.0.saturating_sub(self.time_at(reading.uptime).0)
    }

    /// Returns the time by which the wall clock was ahead of the expected time at the last check, in microseconds (negative if
    /// it was behind); `None` if the wall clock is trusted.
    #[must_use]
    pub fn doubt(&self) -> Option<i64> {
        Some(load(&self.0.doubt)).filter(|doubt| *doubt != 0)
    }

    /// Records whether the wall clock is trusted. Returns whether it was in doubt before.
    pub fn set_agreement(&self, agreement: Agreement) -> bool {
        let micros = |by: Duration| i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let doubt = match agreement {
            Agreement::Agrees => 0,
            Agreement::Ahead(by) => micros(by),
            Agreement::Behind(by) => -micros(by),
        };
        self.0.doubt.swap(doubt, Ordering::Relaxed) != 0
    }

    /// Sets [`now`](Self::now) to `at`.
    pub fn set(&self, at: UnixMicros) {
        self.0.offset.store(at.0.saturating_sub(self.uptime().0), Ordering::Relaxed);
    }

    /// Moves [`now`](Self::now) to the wall clock, from which it has this [`difference`](Self::difference_at).
    pub fn correct(&self, difference: i64) {
        self.0.offset.fetch_add(difference, Ordering::Relaxed);
    }

    /// Moves [`now`](Self::now) towards the wall clock by at most [`CLOCK_SLEW`], so that small steps do not delay anything.
    pub fn follow(&self, difference: i64) {
        let max = i64::try_from(CLOCK_SLEW.as_micros()).unwrap_or(i64::MAX);
        self.correct(difference.clamp(-max, max));
    }

    /// Steps the wall clock of this clock, by microseconds. For tests.
    pub fn step(&self, by: i64) {
        self.0.stepped.fetch_add(by, Ordering::Relaxed);
    }

    /// Advances both clocks, as a suspend does. For tests.
    pub fn sleep(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        self.0.slept.fetch_add(micros, Ordering::Relaxed);
    }
}

fn load(value: &AtomicI64) -> i64 {
    value.load(Ordering::Relaxed)
}

/// Returns a random number from -1 to 1 that spreads load. It must not be used for secrets.
#[must_use]
pub fn jitter() -> f64 {
    fastrand::f64().mul_add(2.0, -1.0)
}

fn boot_clock() -> BootMicros {
    let time = clock_gettime(ClockId::Boottime);
    BootMicros(time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1000))
}

/// Returns the id of this boot. If the kernel does not provide one, each process has an id of its own.
fn boot_id() -> BootId {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let id = text.and_then(|text| uuid::Uuid::parse_str(text.trim()).ok()).unwrap_or_else(uuid::Uuid::new_v4);
    #[expect(clippy::cast_possible_truncation, reason = "half of the id distinguishes two boots")]
    BootId(id.as_u128() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;

    #[test]
    fn wall_clock_step_moves_neither_uptime_nor_now() {
        let clock = Clock::default();
        let (uptime, now) = (clock.uptime(), clock.now());
        clock.step(-HOUR);
        assert!(clock.uptime() >= uptime && clock.now() >= now);
        assert!(clock.wall() < now, "the wall clock shows the step");
        assert!(clock.admission() >= now, "an admission is not too early after a step back");
        clock.step(3 * HOUR);
        assert!(clock.admission() > now.after(Duration::from_secs(3600)), "nor after a step forward");
    }

    #[test]
    fn small_differences_are_followed_and_large_ones_corrected() {
        let clock = Clock::default();
        clock.step(-50_000_000);
        let before = clock.time_at(BootMicros(0));
        clock.follow(clock.difference());
        assert_eq!(before.since(clock.time_at(BootMicros(0))), CLOCK_SLEW);
        clock.step(HOUR);
        clock.correct(clock.difference());
        assert!(clock.difference().abs() < 1_000_000);
    }

    #[test]
    fn a_clock_in_doubt_has_no_trusted_time() {
        let clock = Clock::default();
        let hour = Duration::from_secs(3600);
        assert!(clock.trusted_now().is_some() && !clock.set_agreement(Agreement::Behind(hour)));
        assert_eq!((clock.trusted_now(), clock.doubt()), (None, Some(-HOUR)));
        assert!(clock.set_agreement(Agreement::Ahead(hour)) && clock.doubt() == Some(HOUR));
        assert!(clock.set_agreement(Agreement::Agrees) && clock.trusted_now().is_some());
    }

    #[test]
    fn suspended_time_counts_on_both_clocks() {
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
        let wall = clock.wall_at(clock.uptime_at(at));
        assert!(wall.since(at) >= Duration::from_secs(3590), "the wall clock is an hour ahead");
    }
}
