//! What of a lane waits in the queue, as far as memory knows.

use decnet_core::time::BootMicros;
use decnet_store::queue::{Claimed, Delivery, DeliveryId};

use crate::memory::Share;

/// What the queue holds for this lane beyond what is in memory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// What could be claimed.
    pub(crate) queued: Queued,
    /// What of that came while a claim was under way.
    since_claim: Queued,
    /// A claim is under way that brings all that is queued: what is admitted meanwhile may stay in memory.
    pub(crate) draining: bool,
    /// All that was admitted up to this one has been claimed.
    pub(crate) claimed_up_to: Option<DeliveryId>,
    /// The lane has just been opened: what waits for a retry goes now, for as long as the receiver answers well.
    pub(crate) impatient: bool,
    /// A claim is under way.
    pub(crate) claiming: bool,
    /// Waits for room in memory.
    pub(crate) hungry: bool,
    /// The earliest retry that waits.
    pub(crate) next_due: Option<BootMicros>,
    /// Attempts that will be repeated, and of which that is not committed yet.
    pub(crate) failing: usize,
}

/// How much of a lane is queued, and in no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Queued {
    #[default]
    Nothing,
    Known {
        deliveries: usize,
        bytes: usize,
    },
    /// Something, perhaps.
    Unknown,
}

impl Backlog {
    /// Is there a delivery that goes before whatever is in memory? Where order counts, the others wait.
    pub(crate) fn holds_the_line(&self) -> bool {
        self.failing > 0 || self.next_due.is_some() || self.claiming
    }

    /// A delivery is admitted into the queue rather than into memory.
    pub(crate) fn spill(&mut self, bytes: usize) {
        self.queued.add(bytes);
        self.since_claim.add(bytes);
    }

    /// Anything may be queued now, also before what was claimed last.
    pub(crate) fn look_everywhere(&mut self) {
        (self.queued, self.since_claim) = (Queued::Unknown, Queued::Unknown);
        self.claimed_up_to = None;
    }

    /// A claim begins.
    pub(crate) fn begin_claim(&mut self, share: Share, is_ordered: bool) {
        self.claiming = true;
        self.draining = !is_ordered && self.queued.fits(share);
        self.since_claim = Queued::Nothing;
    }

    /// It has come back.
    pub(crate) fn end_claim(&mut self, claimed: &Claimed) {
        (self.claiming, self.draining) = (false, false);
        self.impatient &= claimed.more;
        if claimed.more {
            self.queued.remove(&claimed.deliveries);
        } else {
            self.queued = self.since_claim;
        }
        if self.since_claim != Queued::Unknown {
            self.claimed_up_to = claimed.up_to.filter(|_| claimed.more);
        }
    }
}

impl Queued {
    fn add(&mut self, bytes: usize) {
        *self = match *self {
            Self::Nothing => Self::Known { deliveries: 1, bytes },
            Self::Known { deliveries, bytes: before } => {
                Self::Known { deliveries: deliveries + 1, bytes: before + bytes }
            }
            Self::Unknown => Self::Unknown,
        };
    }

    /// There is more than what was claimed, so if less was counted then it was counted wrong.
    fn remove(&mut self, claimed: &[Delivery]) {
        let fresh = claimed.iter().filter(|delivery| !delivery.was_retry);
        let (gone, gone_bytes) = fresh.fold((0, 0), |(n, sum), d| (n + 1, sum + d.event.body.len()));
        *self = match *self {
            Self::Known { deliveries, bytes } if deliveries > gone => {
                Self::Known { deliveries: deliveries - gone, bytes: bytes.saturating_sub(gone_bytes) }
            }
            _ => Self::Unknown,
        };
    }

    /// Does a claim of this share bring all of it?
    fn fits(self, share: Share) -> bool {
        match self {
            Self::Nothing => true,
            Self::Known { deliveries, bytes } => deliveries <= share.deliveries && bytes <= share.bytes,
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decnet_core::time::UnixMicros;

    use super::*;
    use decnet_core::event::Event;

    const SHARE: Share = Share { deliveries: 3, bytes: 1000 };

    fn claimed(deliveries: usize, more: bool) -> Claimed {
        let event = Arc::new(Event::new("e", "a", "t", UnixMicros(0), "{}").expect("an event"));
        let id = "1.0".parse().expect("an id");
        let delivery = Delivery { id, attempts: 0, event, was_retry: false, was_redelivery: false };
        Claimed { deliveries: vec![delivery; deliveries], more, up_to: Some(id), next_due: None }
    }

    fn spilled(deliveries: usize) -> Backlog {
        let mut backlog = Backlog::default();
        (0..deliveries).for_each(|_| backlog.spill(10));
        backlog
    }

    #[test]
    fn the_claim_that_brings_the_rest_lets_memory_be_used_again() {
        let mut backlog = spilled(5);
        backlog.begin_claim(SHARE, false);
        assert!(!backlog.draining, "three of five");
        backlog.end_claim(&claimed(3, true));
        assert!(backlog.claimed_up_to.is_some(), "the next one goes on from there");
        backlog.begin_claim(SHARE, false);
        assert!(backlog.draining);
        backlog.end_claim(&claimed(2, false));
        assert_eq!(backlog.queued, Queued::Nothing);
    }

    #[test]
    fn what_came_during_a_claim_is_still_queued() {
        let mut backlog = spilled(5);
        backlog.begin_claim(SHARE, false);
        backlog.spill(10);
        backlog.end_claim(&claimed(5, false));
        assert_eq!(backlog.queued, Queued::Known { deliveries: 1, bytes: 10 });
    }

    #[test]
    fn where_order_counts_nothing_stays_in_memory_before_the_queue_is_empty() {
        let mut backlog = spilled(1);
        backlog.begin_claim(SHARE, true);
        assert!(!backlog.draining);
    }

    #[test]
    fn what_may_be_anywhere_is_looked_for_from_the_beginning() {
        let mut backlog = spilled(5);
        backlog.begin_claim(SHARE, false);
        backlog.look_everywhere();
        backlog.end_claim(&claimed(3, true));
        assert_eq!((backlog.queued, backlog.claimed_up_to), (Queued::Unknown, None));
    }
}
