//! What all lanes together hold in memory, and who may take more of it from the queue.
//!
//! A claim reserves its share until it has come back, so that many at once stay within the bound. Where memory is
//! full, perhaps of deliveries to receivers that hang, a lane with nothing in it still gets a little from a reserve.

use std::collections::VecDeque;

use decnet_core::limits::{
    HELD_RESERVE, HELD_RESERVE_BYTES, LANE_CAPACITY, MAX_BODY_BYTES, MAX_HELD, MAX_HELD_BYTES,
    PROVEN_LANE_CAPACITY,
};
use decnet_store::queue::SubscriptionKey;

/// How much a claim may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) deliveries: usize,
    /// The claim ends when it has brought so many, so one more body may be there in part.
    pub(crate) bytes: usize,
}

/// Deliveries and body bytes in memory, and those that may come.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    held: usize,
    held_bytes: usize,
    claiming: usize,
    claiming_bytes: usize,
    /// Lanes with nothing in memory that found no room, each once.
    hungry: VecDeque<SubscriptionKey>,
}

impl Memory {
    /// Deliveries in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// May a newly admitted delivery stay in memory?
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.held < MAX_HELD && self.held_bytes + bytes <= MAX_HELD_BYTES
    }

    /// How many deliveries one lane may hold: a fast one many, but never more than a share of the room that is left,
    /// so that a few cannot take all of it.
    pub(crate) fn lane_capacity(&self, is_fast: bool) -> usize {
        let left = MAX_HELD.saturating_sub(self.held + self.claiming);
        if is_fast { (left / 8).clamp(LANE_CAPACITY, PROVEN_LANE_CAPACITY) } else { LANE_CAPACITY }
    }

    /// A delivery came.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.held += 1;
        self.held_bytes += bytes;
    }

    /// Deliveries left.
    pub(crate) fn give(&mut self, deliveries: usize, bytes: usize) {
        self.held -= deliveries;
        self.held_bytes -= bytes;
    }

    /// What a lane may claim of the share it wants; a lane with nothing in memory gets `least` from the reserve.
    pub(crate) fn share(&self, wanted: Share, is_empty: bool, least: usize) -> Option<Share> {
        let (held, bytes) = (self.held + self.claiming, self.held_bytes + self.claiming_bytes);
        if held < MAX_HELD && bytes < MAX_HELD_BYTES {
            let deliveries = wanted.deliveries.min(MAX_HELD - held);
            return Some(Share { deliveries, bytes: wanted.bytes.min(MAX_HELD_BYTES - bytes) });
        }
        // Room that claims under way have reserved is free again in a moment; what is held may stay for long.
        let is_full = self.held >= MAX_HELD || self.held_bytes >= MAX_HELD_BYTES;
        let has_reserve = held < MAX_HELD + HELD_RESERVE && bytes < MAX_HELD_BYTES + HELD_RESERVE_BYTES;
        (is_empty && is_full && has_reserve)
            .then(|| Share { deliveries: wanted.deliveries.min(least), bytes: 1 })
    }

    /// A claim begins.
    pub(crate) fn reserve(&mut self, share: Share) {
        self.claiming += share.deliveries;
        self.claiming_bytes += share.bytes.max(MAX_BODY_BYTES);
    }

    /// It has come back.
    pub(crate) fn unreserve(&mut self, share: Share) {
        self.claiming -= share.deliveries;
        self.claiming_bytes -= share.bytes.max(MAX_BODY_BYTES);
    }

    /// A lane waits for room; it must do so once only, until [`Memory::next_hungry`] names it.
    pub(crate) fn wait(&mut self, lane: SubscriptionKey) {
        self.hungry.push_back(lane);
    }

    /// Who has waited longest for room, if there is some.
    pub(crate) fn next_hungry(&mut self) -> Option<SubscriptionKey> {
        let least = Share { deliveries: 1, bytes: 1 };
        self.share(least, true, 1).and_then(|_| self.hungry.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: Share = Share { deliveries: 256, bytes: 1 << 20 };

    #[test]
    fn claims_under_way_count() {
        let mut memory = Memory::default();
        let mut shares = Vec::new();
        while let Some(share) = memory.share(LANE, false, 10) {
            memory.reserve(share);
            shares.push(share);
        }
        assert_eq!(shares.len(), MAX_HELD_BYTES / MAX_BODY_BYTES);
        shares.into_iter().for_each(|share| memory.unreserve(share));
        assert_eq!((memory.claiming, memory.claiming_bytes), (0, 0));
    }

    #[test]
    fn full_memory_leaves_a_little_for_who_has_nothing() {
        let mut memory = Memory::default();
        (0..MAX_HELD).for_each(|_| memory.take(1));
        assert!(!memory.fits(1) && memory.share(LANE, false, 10).is_none());
        assert_eq!(memory.share(LANE, true, 10), Some(Share { deliveries: 10, bytes: 1 }));
        (0..HELD_RESERVE).for_each(|_| memory.take(1));
        assert!(memory.share(LANE, true, 10).is_none());
        memory.wait(SubscriptionKey(7));
        assert_eq!(memory.next_hungry(), None);
        memory.give(1, 1);
        assert_eq!(memory.next_hungry(), Some(SubscriptionKey(7)));
    }
}
