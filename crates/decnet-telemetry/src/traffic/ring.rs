//! A ring of intervals.

use std::time::Duration;

use decnet_core::time::BootMicros;

/// Values of consecutive intervals in a fixed number of slots. A new interval takes the slot of the oldest.
///
/// Intervals are numbered by the boot clock, which cannot be set. They begin at round times of the wall clock as it was when the
/// ring was created.
#[derive(Debug)]
pub(super) struct Ring<T> {
    step: i64,
    /// The time by which the wall clock was ahead of the boot clock, in microseconds.
    anchor: i64,
    /// The number and the value of the last interval in each slot.
    slots: Box<[Option<(i64, T)>]>,
}

impl<T: Clone + Default> Ring<T> {
    /// Creates a ring of `count` intervals of length `step`. `anchor` is the time by which the wall clock is ahead of the boot
    /// clock, in microseconds.
    pub(super) fn new(step: Duration, count: usize, anchor: i64) -> Self {
        let step = i64::try_from(step.as_micros()).unwrap_or(i64::MAX);
        Self { step, anchor, slots: vec![None; count].into() }
    }

    /// Returns the value of the interval that contains a time; a new value if the interval has none yet.
    pub(super) fn at(&mut self, at: BootMicros) -> &mut T {
        let number = self.number(at);
        let slot = self.index(number);
        let slot = &mut self.slots[slot];
        slot.take_if(|(found, _)| *found != number);
        &mut slot.get_or_insert_with(|| (number, T::default())).1
    }

    /// Returns the beginning and the value of each interval, the oldest first and the one that contains `now` last. An interval
    /// in which nothing was recorded has no value.
    pub(super) fn read(&self, now: BootMicros) -> impl Iterator<Item = (BootMicros, Option<&T>)> {
        let last = self.number(now);
        let count = i64::try_from(self.slots.len()).unwrap_or(i64::MAX);
        (last - count + 1..=last).map(|number| {
            let slot = self.slots[self.index(number)].as_ref().filter(|(found, _)| *found == number);
            (BootMicros(number * self.step - self.anchor), slot.map(|(_, value)| value))
        })
    }

    fn number(&self, at: BootMicros) -> i64 {
        at.0.saturating_add(self.anchor).div_euclid(self.step)
    }

    fn index(&self, number: i64) -> usize {
        let count = i64::try_from(self.slots.len()).unwrap_or(i64::MAX);
        usize::try_from(number.rem_euclid(count)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn at(seconds: i64) -> BootMicros {
        BootMicros(seconds * SECOND)
    }

    fn values(ring: &Ring<u32>, now: i64) -> Vec<Option<u32>> {
        ring.read(at(now)).map(|(_, value)| value.copied()).collect()
    }

    #[test]
    fn new_interval_takes_the_slot_of_the_oldest() {
        let mut ring = Ring::new(Duration::from_secs(10), 3, 0);
        for (second, value) in [(10, 1), (15, 1), (20, 2), (30, 3), (40, 4)] {
            *ring.at(at(second)) += value;
        }
        assert_eq!(values(&ring, 49), [Some(2), Some(3), Some(4)]);
        assert_eq!(values(&ring, 35), [None, Some(2), Some(3)], "the slot of the oldest was taken");
    }

    #[test]
    fn gap_has_no_values() {
        let mut ring = Ring::new(Duration::from_secs(10), 4, 0);
        *ring.at(at(10)) += 1;
        *ring.at(at(30)) += 3;
        assert_eq!(values(&ring, 30), [None, Some(1), None, Some(3)]);
        assert_eq!(values(&ring, 60), [Some(3), None, None, None]);
        // As after a suspend: the slots are older than the ring is long.
        assert_eq!(values(&ring, 1000), [None; 4]);
        *ring.at(at(1000)) += 7;
        assert_eq!(values(&ring, 1000), [None, None, None, Some(7)]);
    }

    #[test]
    fn intervals_begin_at_round_times_of_the_wall_clock() {
        let mut ring: Ring<u32> = Ring::new(Duration::from_secs(60), 2, 45 * SECOND);
        *ring.at(at(100)) += 1;
        let begins: Vec<_> = ring.read(at(100)).map(|(begin, _)| begin).collect();
        assert_eq!(begins, [at(15), at(75)]);
    }
}
