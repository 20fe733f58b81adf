//! The deliveries that a lane has claimed and not yet settled; no claim may return them again.

use decnet_store::queue::DeliveryId;
use rustc_hash::FxHashSet;

use crate::request_batch::DeliverySource;

/// Claimed deliveries, until they are settled or released.
#[derive(Debug, Default)]
pub(crate) struct ClaimedSet {
    /// Deliveries that were queued in the order of their admission.
    in_order: FxHashSet<DeliveryId>,
    /// All other deliveries: retries wait until they are due, and redeliveries wait behind all other deliveries.
    out_of_order: FxHashSet<DeliveryId>,
}

impl ClaimedSet {
    /// Adds a delivery. A delivery that never left memory is ignored, since it is in no index that a claim searches.
    pub(crate) fn insert(&mut self, id: DeliveryId, source: DeliverySource) {
        match source {
            DeliverySource::Admitted => false,
            DeliverySource::Queued => self.in_order.insert(id),
            DeliverySource::Retry | DeliverySource::Redelivered => self.out_of_order.insert(id),
        };
    }

    /// Removes a delivery whose settlement is committed or that is back in the queue.
    pub(crate) fn release(&mut self, id: DeliveryId, source: DeliverySource) {
        match source {
            DeliverySource::Admitted => false,
            DeliverySource::Queued => self.in_order.remove(&id),
            DeliverySource::Retry | DeliverySource::Redelivered => self.out_of_order.remove(&id),
        };
    }

    /// Returns the deliveries that a claim that continues after the delivery `after` must exclude. Some of them may be behind
    /// `after`: a lane that searches the queue from its beginning continues from the first delivery that it finds, and not
    /// from the last delivery that it claimed before.
    pub(crate) fn excluded_after(&self, after: Option<DeliveryId>) -> FxHashSet<DeliveryId> {
        let is_behind = |id: &&DeliveryId| after.is_none_or(|after| **id > after);
        self.out_of_order.iter().chain(self.in_order.iter().filter(is_behind)).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> DeliveryId {
        text.parse().expect("a delivery id")
    }

    #[test]
    fn claimed_deliveries_are_excluded_wherever_a_claim_continues() {
        let mut claimed = ClaimedSet::default();
        claimed.insert(id("5.0"), DeliverySource::Queued);
        claimed.insert(id("9.0"), DeliverySource::Queued);
        claimed.insert(id("2.0"), DeliverySource::Retry);
        claimed.insert(id("3.0"), DeliverySource::Redelivered);
        claimed.insert(id("1.0"), DeliverySource::Admitted);
        let out_of_order = ["2.0", "3.0"].map(id);
        let excluded = |after: Option<&str>| claimed.excluded_after(after.map(id));
        let with = |more: &[&str]| more.iter().copied().map(id).chain(out_of_order).collect::<FxHashSet<_>>();
        assert_eq!(excluded(None), with(&["5.0", "9.0"]));
        assert_eq!(excluded(Some("7.0")), with(&["9.0"]));
        assert_eq!(excluded(Some("9.0")), with(&[]));
    }

    #[test]
    fn released_deliveries_may_be_claimed_again() {
        let mut claimed = ClaimedSet::default();
        for source in [DeliverySource::Queued, DeliverySource::Retry, DeliverySource::Redelivered] {
            claimed.insert(id("5.0"), source);
            claimed.release(id("5.0"), source);
        }
        assert!(claimed.excluded_after(None).is_empty());
    }
}
