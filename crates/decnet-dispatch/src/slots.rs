//! The requests that may be in flight over all lanes, and who gets the next one.
//!
//! A lane whose last word was a quick success is *proven*. Lanes that are not (new ones, slow ones, failing
//! ones) share at most half of the slots among them, so that however many receivers hang, the healthy ones
//! keep the other half. Where slots are scarce, the lane with the fewest requests in flight goes first, proven
//! or not: however busy the healthy ones are, a new one gets its turn.
//!
//! How many slots a lane may hold shrinks with what is free for its kind (dynamic thresholds, Choudhury and Hahne, 1998),
//! by the square of it: alone it gets more than a third of all, and whoever holds *n* lanes' worth and hangs, together
//! or one after the other, leaves an (*n* + 1)th part for the next. In proportion it would be half of what is left, and
//! nothing after a few.

use std::collections::BTreeSet;

use decnet_store::queue::SubscriptionKey;

/// A slot that is taken; give it back with [`Slots::release`].
#[derive(Debug)]
#[must_use = "a slot that is not released is lost"]
pub(crate) struct Slot {
    proven: bool,
}

/// A place in the queue for a slot; spend it with [`Slots::leave`], or let [`Slots::next`] name its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The lane's requests in flight when it asked.
    in_flight: usize,
    /// When it asked.
    turn: u64,
    lane: SubscriptionKey,
}

/// The bound, who holds it, and who waits.
#[derive(Debug)]
pub(crate) struct Slots {
    total: usize,
    taken: usize,
    taken_unproven: usize,
    turn: u64,
    /// Index 1: proven lanes.
    waiting: [BTreeSet<Place>; 2],
}

impl Slots {
    pub(crate) fn new(total: usize) -> Self {
        Self { total: total.max(1), taken: 0, taken_unproven: 0, turn: 0, waiting: Default::default() }
    }

    /// Requests in flight.
    pub(crate) fn taken(&self) -> usize {
        self.taken
    }

    /// A slot, if a lane with so many requests in flight may have another and nobody waits who could have it.
    pub(crate) fn take(&mut self, proven: bool, in_flight: usize) -> Option<Slot> {
        (self.admits(proven, in_flight) && self.first().is_none()).then(|| self.grant(proven))
    }

    /// Gives a slot back.
    #[expect(clippy::needless_pass_by_value, reason = "a slot is spent by releasing it")]
    pub(crate) fn release(&mut self, slot: Slot) {
        self.taken -= 1;
        self.taken_unproven -= usize::from(!slot.proven);
    }

    /// Queues a lane for a slot; it must ask once only, until [`Slots::next`] names it or it leaves.
    pub(crate) fn wait(&mut self, lane: SubscriptionKey, proven: bool, in_flight: usize) -> Place {
        self.turn += 1;
        let place = Place { in_flight, turn: self.turn, lane };
        self.waiting[usize::from(proven)].insert(place);
        place
    }

    /// Gives a place up.
    pub(crate) fn leave(&mut self, place: Place) {
        for waiting in &mut self.waiting {
            waiting.remove(&place);
        }
    }

    /// The lane whose turn it is, with its slot, if one is free.
    pub(crate) fn next(&mut self) -> Option<(SubscriptionKey, Slot)> {
        let (place, proven) = self.first()?;
        self.waiting[usize::from(proven)].remove(&place);
        Some((place.lane, self.grant(proven)))
    }

    /// Who is first of those that could have a slot now, and is it proven?
    fn first(&self) -> Option<(Place, bool)> {
        let first = |proven| {
            let place = self.waiting[usize::from(proven)].first()?;
            self.admits(proven, place.in_flight).then_some((*place, proven))
        };
        [first(true), first(false)].into_iter().flatten().min()
    }

    /// May a lane with so many requests in flight have another slot? If not, nor may one with more.
    fn admits(&self, proven: bool, in_flight: usize) -> bool {
        let (free, half) = (self.total - self.taken, self.total.div_ceil(2));
        let (all, free) =
            if proven { (self.total, free) } else { (half, free.min(half - self.taken_unproven)) };
        in_flight * all < free * free
    }

    fn grant(&mut self, proven: bool) -> Slot {
        self.taken += 1;
        self.taken_unproven += usize::from(!proven);
        Slot { proven }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decnet_core::limits::{DEFAULT_TOTAL_CONCURRENCY, MAX_ADAPTIVE_CONCURRENCY};

    const A: SubscriptionKey = SubscriptionKey(1);
    const B: SubscriptionKey = SubscriptionKey(2);

    /// Takes as many slots as one lane can have.
    fn fill(slots: &mut Slots, proven: bool) -> usize {
        (0..).find(|held| slots.take(proven, *held).is_none()).unwrap()
    }

    #[test]
    fn unproven_lanes_get_at_most_half() {
        let mut slots = Slots::new(4);
        let held = [slots.take(false, 0), slots.take(false, 0)];
        assert!(held.iter().all(Option::is_some));
        assert!(slots.take(false, 0).is_none());
        assert!(slots.take(true, 0).is_some() && slots.take(true, 0).is_some());
        assert!(slots.take(true, 0).is_none());
    }

    #[test]
    fn the_lane_with_the_fewest_in_flight_goes_first() {
        let mut slots = Slots::new(3);
        let held = [(); 3].map(|()| slots.take(true, 0).unwrap());
        slots.wait(A, true, 1);
        let gone = slots.wait(SubscriptionKey(3), true, 0);
        slots.wait(B, true, 0);
        slots.leave(gone);
        assert!(slots.next().is_none());
        let [first, second, third] = held;
        slots.release(first);
        assert_eq!(slots.next().map(|(lane, _)| lane), Some(B));
        slots.release(second);
        assert!(slots.next().is_none(), "as many as are free");
        slots.release(third);
        assert!(slots.take(true, 0).is_none(), "who waits goes before who comes");
        assert_eq!(slots.next().map(|(lane, _)| lane), Some(A));
    }

    #[test]
    fn busy_proven_lanes_do_not_keep_a_new_one_out() {
        let mut slots = Slots::new(2);
        let (first, _second) = (slots.take(true, 0).unwrap(), slots.take(true, 0).unwrap());
        slots.wait(A, true, 1);
        slots.wait(B, false, 0);
        slots.release(first);
        assert!(slots.take(true, 0).is_none(), "the new one was here before");
        assert_eq!(slots.next().map(|(lane, _)| lane), Some(B));
    }

    #[test]
    fn alone_a_lane_gets_its_maximum() {
        assert!(fill(&mut Slots::new(DEFAULT_TOTAL_CONCURRENCY), true) >= MAX_ADAPTIVE_CONCURRENCY);
        assert_eq!(fill(&mut Slots::new(1), false), 1, "even of one slot");
    }

    #[test]
    fn lanes_that_take_all_they_can_one_after_the_other_leave_a_share_for_the_next() {
        const TOTAL: usize = DEFAULT_TOTAL_CONCURRENCY;
        let mut slots = Slots::new(TOTAL);
        // Beyond them the share is so small that a slot for each is more.
        for lanes in 1..=16 {
            fill(&mut slots, true);
            let free = TOTAL - slots.taken();
            assert!(free >= TOTAL / (lanes + 1), "{lanes} leave {free}");
        }
    }

    #[test]
    fn lanes_that_grow_together_leave_a_share_too() {
        for lanes in 1..=16 {
            let (mut slots, mut held) = (Slots::new(DEFAULT_TOTAL_CONCURRENCY), vec![0; lanes]);
            while let Some(lane) = held.iter_mut().min().filter(|held| slots.take(true, **held).is_some()) {
                *lane += 1;
            }
            assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
            assert!(slots.total - slots.taken >= slots.total / (lanes + 1), "{held:?}");
        }
    }
}
