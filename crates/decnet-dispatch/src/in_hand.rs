//! What a lane has claimed and not yet settled: no claim may bring it a second time.

use decnet_store::queue::DeliveryId;
use rustc_hash::FxHashSet;

use crate::members::Origin;

/// Claimed deliveries until they are settled, or given up.
#[derive(Debug, Default)]
pub(crate) struct InHand {
    /// Those that were queued in the order of admission.
    in_order: FxHashSet<DeliveryId>,
    /// Those that were not: retries wait for their time, and redeliveries behind all else.
    apart: FxHashSet<DeliveryId>,
}

impl InHand {
    /// Takes one in. One that never left memory is in no index that a claim looks at.
    pub(crate) fn take(&mut self, id: DeliveryId, origin: Origin) {
        match origin {
            Origin::Admitted => false,
            Origin::Queued => self.in_order.insert(id),
            Origin::Retry | Origin::Redelivered => self.apart.insert(id),
        };
    }

    /// Lets it go: its settlement is committed, or it waits where it was.
    pub(crate) fn let_go(&mut self, id: DeliveryId, origin: Origin) {
        match origin {
            Origin::Admitted => false,
            Origin::Queued => self.in_order.remove(&id),
            Origin::Retry | Origin::Redelivered => self.apart.remove(&id),
        };
    }

    /// What a claim that goes on `after` a place must leave out. Some may lie beyond that place: a lane that was made to
    /// look everywhere again goes on from what it finds first, not from the furthest that it ever had.
    pub(crate) fn beyond(&self, after: Option<DeliveryId>) -> FxHashSet<DeliveryId> {
        let is_beyond = |id: &&DeliveryId| after.is_none_or(|after| **id > after);
        self.apart.iter().chain(self.in_order.iter().filter(is_beyond)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DeliveryId {
        text.parse().expect("a delivery's id")
    }

    #[test]
    fn nothing_that_is_in_hand_is_claimed_again_wherever_a_claim_goes_on() {
        let mut in_hand = InHand::default();
        in_hand.take(id("5.0"), Origin::Queued);
        in_hand.take(id("9.0"), Origin::Queued);
        in_hand.take(id("2.0"), Origin::Retry);
        in_hand.take(id("3.0"), Origin::Redelivered);
        in_hand.take(id("1.0"), Origin::Admitted);
        let apart = ["2.0", "3.0"].map(id);
        let beyond = |after: Option<&str>| in_hand.beyond(after.map(id));
        let with = |more: &[&str]| more.iter().copied().map(id).chain(apart).collect::<FxHashSet<_>>();
        assert_eq!(beyond(None), with(&["5.0", "9.0"]));
        assert_eq!(beyond(Some("7.0")), with(&["9.0"]));
        assert_eq!(beyond(Some("9.0")), with(&[]));
    }

    #[test]
    fn what_is_let_go_may_be_claimed_again() {
        let mut in_hand = InHand::default();
        for origin in [Origin::Queued, Origin::Retry, Origin::Redelivered] {
            in_hand.take(id("5.0"), origin);
            in_hand.let_go(id("5.0"), origin);
        }
        assert!(in_hand.beyond(None).is_empty());
    }
}
