//! The limit on requests in flight across all lanes, and which lane may start the next request.
//!
//! A lane is *proven* if its last attempt was a fast success. All other lanes (new, slow or failing lanes) together
//! get at most half of the permits. However many receivers hang, the healthy lanes keep the other half. When permits
//! are scarce, the lane with the fewest requests in flight goes first, proven or not: a new lane gets its turn however busy
//! the healthy lanes are.
//!
//! The number of permits that a lane may hold shrinks with the square of the free permits of its kind, after the dynamic
//! thresholds of Choudhury and Hahne (1998), which shrink in proportion. A single lane gets more than a third of all
//! permits. Lanes that hang while holding *n* lanes' worth, together or one after the other, leave a share of 1/(*n* + 1)
//! to the next lane. With a proportional limit, each lane would take half of the rest, and after a few lanes nothing would be
//! left.

use std::collections::BTreeSet;

use decnet_store::queue::SubscriptionKey;

/// The permission for one request; return it with [`ConcurrencyLimiter::release`].
#[derive(Debug)]
#[must_use = "a permit that is not released is lost"]
pub(crate) struct Permit {
    is_proven: bool,
}

/// The position of a lane in the queue for a permit. The position ends with [`ConcurrencyLimiter::cancel`], or when
/// [`ConcurrencyLimiter::grant_next`] returns the lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// The lane's requests in flight when it was enqueued.
    in_flight: usize,
    /// The sequence number of the ticket.
    number: u64,
    lane: SubscriptionKey,
}

/// The limit, the permits that are in use, and the lanes that wait for a permit.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    total: usize,
    in_use: usize,
    in_use_unproven: usize,
    last_ticket: u64,
    /// Index 0: unproven lanes. Index 1: proven lanes.
    waiting: [BTreeSet<Ticket>; 2],
}

impl ConcurrencyLimiter {
    /// Creates a limiter with `total` permits; 0 counts as 1.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total: total.max(1),
            in_use: 0,
            in_use_unproven: 0,
            last_ticket: 0,
            waiting: Default::default(),
        }
    }

    /// Returns the number of requests in flight.
    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    /// Returns a permit if a lane with `in_flight` requests may have another permit and no waiting lane could use it.
    pub(crate) fn try_acquire(&mut self, is_proven: bool, in_flight: usize) -> Option<Permit> {
        (self.admits(is_proven, in_flight) && self.first().is_none()).then(|| self.grant(is_proven))
    }

    /// Takes a permit back.
    #[expect(clippy::needless_pass_by_value, reason = "releasing a permit consumes it")]
    pub(crate) fn release(&mut self, permit: Permit) {
        self.in_use -= 1;
        self.in_use_unproven -= usize::from(!permit.is_proven);
    }

    /// Enqueues a lane for a permit. A lane must not be enqueued again before its ticket has ended.
    pub(crate) fn wait(&mut self, lane: SubscriptionKey, is_proven: bool, in_flight: usize) -> Ticket {
        self.last_ticket += 1;
        let ticket = Ticket { in_flight, number: self.last_ticket, lane };
        self.waiting[usize::from(is_proven)].insert(ticket);
        ticket
    }

    /// Removes a ticket from the queue.
    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        for waiting in &mut self.waiting {
            waiting.remove(&ticket);
        }
    }

    /// Removes and returns the first waiting lane that may have a permit, with that permit.
    pub(crate) fn grant_next(&mut self) -> Option<(SubscriptionKey, Permit)> {
        let (ticket, is_proven) = self.first()?;
        self.waiting[usize::from(is_proven)].remove(&ticket);
        Some((ticket.lane, self.grant(is_proven)))
    }

    /// Returns the first ticket of a lane that could have a permit now, and whether that lane is proven.
    fn first(&self) -> Option<(Ticket, bool)> {
        let first = |is_proven| {
            let ticket = self.waiting[usize::from(is_proven)].first()?;
            self.admits(is_proven, ticket.in_flight).then_some((*ticket, is_proven))
        };
        [first(true), first(false)].into_iter().flatten().min()
    }

    /// Returns whether a lane with `in_flight` requests may have another permit. If it may not, neither may any lane with more
    /// requests.
    fn admits(&self, is_proven: bool, in_flight: usize) -> bool {
        let (free, half) = (self.total - self.in_use, self.total.div_ceil(2));
        let (all, free) =
            if is_proven { (self.total, free) } else { (half, free.min(half - self.in_use_unproven)) };
        in_flight * all < free * free
    }

    fn grant(&mut self, is_proven: bool) -> Permit {
        self.in_use += 1;
        self.in_use_unproven += usize::from(!is_proven);
        Permit { is_proven }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decnet_core::limits::{DEFAULT_TOTAL_CONCURRENCY, MAX_ADAPTIVE_CONCURRENCY};

    const A: SubscriptionKey = SubscriptionKey(1);
    const B: SubscriptionKey = SubscriptionKey(2);

    /// Acquires as many permits as one lane can have, and returns their number.
    fn fill(limiter: &mut ConcurrencyLimiter, is_proven: bool) -> usize {
        (0..).find(|held| limiter.try_acquire(is_proven, *held).is_none()).unwrap()
    }

    #[test]
    fn unproven_lanes_get_at_most_half() {
        let mut limiter = ConcurrencyLimiter::new(4);
        let held = [limiter.try_acquire(false, 0), limiter.try_acquire(false, 0)];
        assert!(held.iter().all(Option::is_some));
        assert!(limiter.try_acquire(false, 0).is_none());
        assert!(limiter.try_acquire(true, 0).is_some() && limiter.try_acquire(true, 0).is_some());
        assert!(limiter.try_acquire(true, 0).is_none());
    }

    #[test]
    fn lane_with_fewest_in_flight_goes_first() {
        let mut limiter = ConcurrencyLimiter::new(3);
        let held = [(); 3].map(|()| limiter.try_acquire(true, 0).unwrap());
        limiter.wait(A, true, 1);
        let cancelled = limiter.wait(SubscriptionKey(3), true, 0);
        limiter.wait(B, true, 0);
        limiter.cancel(cancelled);
        assert!(limiter.grant_next().is_none());
        let [first, second, third] = held;
        limiter.release(first);
        assert_eq!(limiter.grant_next().map(|(lane, _)| lane), Some(B));
        limiter.release(second);
        assert!(limiter.grant_next().is_none(), "a lane with one in flight needs a second free permit");
        limiter.release(third);
        assert!(limiter.try_acquire(true, 0).is_none(), "waiting lanes go before new requests");
        assert_eq!(limiter.grant_next().map(|(lane, _)| lane), Some(A));
    }

    #[test]
    fn busy_proven_lanes_do_not_starve_a_new_lane() {
        let mut limiter = ConcurrencyLimiter::new(2);
        let (first, _second) = (limiter.try_acquire(true, 0).unwrap(), limiter.try_acquire(true, 0).unwrap());
        limiter.wait(A, true, 1);
        limiter.wait(B, false, 0);
        limiter.release(first);
        assert!(limiter.try_acquire(true, 0).is_none(), "the new lane has waited longer");
        assert_eq!(limiter.grant_next().map(|(lane, _)| lane), Some(B));
    }

    #[test]
    fn single_lane_reaches_its_maximum() {
        assert!(
            fill(&mut ConcurrencyLimiter::new(DEFAULT_TOTAL_CONCURRENCY), true) >= MAX_ADAPTIVE_CONCURRENCY
        );
        assert_eq!(fill(&mut ConcurrencyLimiter::new(1), false), 1, "also of one permit");
    }

    #[test]
    fn lanes_that_hang_in_turn_leave_a_share_for_the_next() {
        const TOTAL: usize = DEFAULT_TOTAL_CONCURRENCY;
        let mut limiter = ConcurrencyLimiter::new(TOTAL);
        // With more lanes, one permit for each lane exceeds the share.
        for lanes in 1..=16 {
            fill(&mut limiter, true);
            let free = TOTAL - limiter.in_use();
            assert!(free >= TOTAL / (lanes + 1), "{lanes} lanes leave {free}");
        }
    }

    #[test]
    fn lanes_that_grow_together_leave_a_share_for_the_next() {
        for lanes in 1..=16 {
            let (mut limiter, mut held) =
                (ConcurrencyLimiter::new(DEFAULT_TOTAL_CONCURRENCY), vec![0; lanes]);
            while let Some(lane) =
                held.iter_mut().min().filter(|held| limiter.try_acquire(true, **held).is_some())
            {
                *lane += 1;
            }
            assert!(held.iter().max().unwrap() - held.iter().min().unwrap() <= 1, "{held:?}");
            assert!(limiter.total - limiter.in_use >= limiter.total / (lanes + 1), "{held:?}");
        }
    }
}
