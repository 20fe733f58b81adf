//! The deliveries of a lane that are only in the queue and not in memory, as far as the lane knows.

use decnet_core::time::BootMicros;
use decnet_store::queue::{Claimed, Delivery, DeliveryId};

use crate::memory_budget::Allowance;

/// The deliveries of a lane that are only in the queue and not in memory.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The deliveries that could be claimed.
    pub(crate) queued: Queued,
    /// The part of `queued` that was added since the current claim started.
    queued_since_claim: Queued,
    /// Whether the current claim returns everything that is queued. In that case newly admitted deliveries may stay in memory.
    pub(crate) is_draining: bool,
    /// The last delivery of the queue up to which all deliveries have been claimed.
    pub(crate) claimed_up_to: Option<DeliveryId>,
    /// Whether retries are claimed before they are due: the lane has just been opened, and its receiver answers. Set until
    /// a claim has found all of them.
    pub(crate) ignores_due_times: bool,
    /// Whether the current claim ignores due times.
    claim_ignores_due_times: bool,
    /// Whether a claim is under way.
    pub(crate) is_claiming: bool,
    /// Whether the lane waits for free memory.
    pub(crate) is_starved: bool,
    /// The time of the lane's `Due` timer: the earliest retry or probe.
    pub(crate) next_due: Option<BootMicros>,
    /// The number of failed attempts whose retry is not committed yet.
    pub(crate) uncommitted_retries: usize,
}

/// The number and size of a lane's deliveries that are queued and not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Queued {
    #[default]
    Nothing,
    Known {
        deliveries: usize,
        bytes: usize,
    },
    /// There may be any number of deliveries, or none.
    Unknown,
}

impl Backlog {
    /// Returns whether a queued delivery may precede the deliveries in memory. While this is true, an ordered lane sends nothing.
    pub(crate) fn blocks_ordered_lane(&self) -> bool {
        self.uncommitted_retries > 0 || self.next_due.is_some() || self.is_claiming
    }

    /// Counts a delivery that is admitted to the queue instead of to memory.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.queued.add(bytes);
        self.queued_since_claim.add(bytes);
    }

    /// Makes the next claim search the queue from its beginning: a delivery may be queued before the last claimed delivery.
    pub(crate) fn rescan(&mut self) {
        (self.queued, self.queued_since_claim) = (Queued::Unknown, Queued::Unknown);
        self.claimed_up_to = None;
    }

    pub(crate) fn start_claim(&mut self, allowance: Allowance, is_ordered: bool) {
        self.is_claiming = true;
        self.claim_ignores_due_times = self.ignores_due_times;
        self.is_draining = !is_ordered && self.queued.fits(allowance);
        self.queued_since_claim = Queued::Nothing;
    }

    pub(crate) fn finish_claim(&mut self, claimed: &Claimed) {
        (self.is_claiming, self.is_draining) = (false, false);
        // A claim cannot find a retry that is not committed yet.
        let found_all_retries =
            self.claim_ignores_due_times && !claimed.more && self.uncommitted_retries == 0;
        self.ignores_due_times &= !found_all_retries;
        if claimed.more {
            self.queued.remove(&claimed.deliveries);
        } else {
            self.queued = self.queued_since_claim;
        }
        if self.queued_since_claim != Queued::Unknown {
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

    /// Subtracts claimed deliveries while other deliveries remain in the queue. If fewer deliveries were counted than claimed,
    /// the count was wrong.
    fn remove(&mut self, claimed: &[Delivery]) {
        let fresh = claimed.iter().filter(|delivery| !delivery.was_retry);
        let (count, size) = fresh.fold((0, 0), |(n, sum), d| (n + 1, sum + d.event.body.len()));
        *self = match *self {
            Self::Known { deliveries, bytes } if deliveries > count => {
                Self::Known { deliveries: deliveries - count, bytes: bytes.saturating_sub(size) }
            }
            _ => Self::Unknown,
        };
    }

    /// Returns whether a claim with this allowance returns all queued deliveries.
    fn fits(self, allowance: Allowance) -> bool {
        match self {
            Self::Nothing => true,
            Self::Known { deliveries, bytes } => {
                deliveries <= allowance.deliveries && bytes <= allowance.bytes
            }
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

    const THREE: Allowance = Allowance { deliveries: 3, bytes: 1000 };

    fn claimed(deliveries: usize, more: bool) -> Claimed {
        let event = Arc::new(Event::new("e", "a", "t", UnixMicros(0), "{}").expect("an event"));
        let id = "1.0".parse().expect("an id");
        let delivery = Delivery {
            id,
            attempts: 0,
            free_attempts: 0,
            event,
            rendered: None,
            was_retry: false,
            was_redelivery: false,
        };
        Claimed { deliveries: vec![delivery; deliveries], more, up_to: Some(id), ..Claimed::default() }
    }

    fn with_queued(deliveries: usize) -> Backlog {
        let mut backlog = Backlog::default();
        (0..deliveries).for_each(|_| backlog.add(10));
        backlog
    }

    #[test]
    fn only_a_claim_of_all_queued_deliveries_is_draining() {
        let mut backlog = with_queued(5);
        backlog.start_claim(THREE, false);
        assert!(!backlog.is_draining, "three of five");
        backlog.finish_claim(&claimed(3, true));
        assert!(backlog.claimed_up_to.is_some(), "the next claim continues there");
        backlog.start_claim(THREE, false);
        assert!(backlog.is_draining);
        backlog.finish_claim(&claimed(2, false));
        assert_eq!(backlog.queued, Queued::Nothing);
    }

    #[test]
    fn deliveries_added_during_a_claim_are_still_queued() {
        let mut backlog = with_queued(5);
        backlog.start_claim(THREE, false);
        backlog.add(10);
        backlog.finish_claim(&claimed(5, false));
        assert_eq!(backlog.queued, Queued::Known { deliveries: 1, bytes: 10 });
    }

    #[test]
    fn ordered_lane_admits_nothing_to_memory_during_a_claim() {
        let mut backlog = with_queued(1);
        backlog.start_claim(THREE, true);
        assert!(!backlog.is_draining);
    }

    /// When a wait is lifted, a claim or the commit of a retry may be under way. Both finish before all retries are found.
    #[test]
    fn due_times_are_ignored_until_a_claim_has_found_all_retries() {
        let mut backlog = Backlog::default();
        let mut finish_claim_after = |change: fn(&mut Backlog)| {
            backlog.start_claim(THREE, false);
            change(&mut backlog);
            backlog.finish_claim(&claimed(0, false));
            backlog.ignores_due_times
        };
        assert!(finish_claim_after(|backlog| backlog.ignores_due_times = true), "it started too early");
        assert!(finish_claim_after(|backlog| backlog.uncommitted_retries = 1), "a retry is not committed");
        assert!(!finish_claim_after(|backlog| backlog.uncommitted_retries = 0));
    }

    #[test]
    fn rescan_during_a_claim_restarts_from_the_beginning() {
        let mut backlog = with_queued(5);
        backlog.start_claim(THREE, false);
        backlog.rescan();
        backlog.finish_claim(&claimed(3, true));
        assert_eq!((backlog.queued, backlog.claimed_up_to), (Queued::Unknown, None));
    }
}
