//! The memory that all lanes share, and the choice of the lane that may claim more deliveries from the queue.
//!
//! A claim reserves its allowance until its result arrives, so that concurrent claims stay within the bound. When memory is
//! full, for example of deliveries to receivers that hang, a lane without deliveries still gets a few from a reserve.

use std::collections::VecDeque;

use decnet_core::limits::{
    LANE_CAPACITY, MAX_BODY_BYTES, MEMORY_BUDGET_BYTES, MEMORY_BUDGET_DELIVERIES, MEMORY_RESERVE_BYTES,
    MEMORY_RESERVE_DELIVERIES, PROVEN_LANE_CAPACITY,
};
use decnet_store::queue::SubscriptionKey;

/// The maximum number and size of the deliveries that a claim may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Allowance {
    pub(crate) deliveries: usize,
    /// Body bytes. The claim ends with the delivery that reaches this number, so it may exceed it by one body.
    pub(crate) bytes: usize,
}

/// Deliveries and body bytes that are in memory, or reserved by claims.
#[derive(Debug, Default)]
pub(crate) struct MemoryBudget {
    held: usize,
    held_bytes: usize,
    reserved: usize,
    reserved_bytes: usize,
    /// Lanes without deliveries that could not claim any, without duplicates, in the order of their requests.
    starved: VecDeque<SubscriptionKey>,
}

impl MemoryBudget {
    /// Returns the number of deliveries in memory.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Returns whether a newly admitted delivery with a body of `bytes` may stay in memory.
    pub(crate) fn fits(&self, bytes: usize) -> bool {
        self.held < MEMORY_BUDGET_DELIVERIES && self.held_bytes + bytes <= MEMORY_BUDGET_BYTES
    }

    /// Returns the number of deliveries that one lane may hold. A fast lane may hold many deliveries, but at most an eighth of
    /// the free memory, so that a few lanes cannot take all of it.
    pub(crate) fn lane_capacity(&self, is_fast: bool) -> usize {
        let free = MEMORY_BUDGET_DELIVERIES.saturating_sub(self.held + self.reserved);
        if is_fast { (free / 8).clamp(LANE_CAPACITY, PROVEN_LANE_CAPACITY) } else { LANE_CAPACITY }
    }

    /// Counts a delivery that enters memory.
    pub(crate) fn hold(&mut self, bytes: usize) {
        self.held += 1;
        self.held_bytes += bytes;
    }

    /// Subtracts deliveries that leave memory.
    pub(crate) fn release(&mut self, deliveries: usize, bytes: usize) {
        self.held -= deliveries;
        self.held_bytes -= bytes;
    }

    /// Returns the part of `wanted` that a lane may claim. A lane without deliveries (`is_empty`) gets up to `minimum` from the
    /// reserve when memory is full.
    pub(crate) fn allowance(&self, wanted: Allowance, is_empty: bool, minimum: usize) -> Option<Allowance> {
        let (held, bytes) = (self.held + self.reserved, self.held_bytes + self.reserved_bytes);
        if held < MEMORY_BUDGET_DELIVERIES && bytes < MEMORY_BUDGET_BYTES {
            let deliveries = wanted.deliveries.min(MEMORY_BUDGET_DELIVERIES - held);
            return Some(Allowance { deliveries, bytes: wanted.bytes.min(MEMORY_BUDGET_BYTES - bytes) });
        }
        // Memory that is only reserved by claims is free again in a moment and does not justify using the reserve.
        let is_full = self.held >= MEMORY_BUDGET_DELIVERIES || self.held_bytes >= MEMORY_BUDGET_BYTES;
        let has_reserve = held < MEMORY_BUDGET_DELIVERIES + MEMORY_RESERVE_DELIVERIES
            && bytes < MEMORY_BUDGET_BYTES + MEMORY_RESERVE_BYTES;
        (is_empty && is_full && has_reserve)
            .then(|| Allowance { deliveries: wanted.deliveries.min(minimum), bytes: 1 })
    }

    /// Reserves the allowance of a claim that starts.
    pub(crate) fn reserve(&mut self, allowance: Allowance) {
        self.reserved += allowance.deliveries;
        self.reserved_bytes += allowance.bytes.max(MAX_BODY_BYTES);
    }

    /// Ends the reservation of a claim whose result has arrived.
    pub(crate) fn unreserve(&mut self, allowance: Allowance) {
        self.reserved -= allowance.deliveries;
        self.reserved_bytes -= allowance.bytes.max(MAX_BODY_BYTES);
    }

    /// Enqueues a lane that waits for free memory. A lane must not be enqueued again before
    /// [`MemoryBudget::next_starved`] has returned it.
    pub(crate) fn wait(&mut self, lane: SubscriptionKey) {
        self.starved.push_back(lane);
    }

    /// Removes and returns the lane that has waited longest, if memory has become free.
    pub(crate) fn next_starved(&mut self) -> Option<SubscriptionKey> {
        let one = Allowance { deliveries: 1, bytes: 1 };
        self.allowance(one, true, 1).and_then(|_| self.starved.pop_front())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Allowance = Allowance { deliveries: 256, bytes: 1 << 20 };

    #[test]
    fn concurrent_claims_count_towards_the_budget() {
        let mut memory = MemoryBudget::default();
        let mut allowances = Vec::new();
        while let Some(allowance) = memory.allowance(WANTED, false, 10) {
            memory.reserve(allowance);
            allowances.push(allowance);
        }
        assert_eq!(allowances.len(), MEMORY_BUDGET_BYTES / MAX_BODY_BYTES);
        allowances.into_iter().for_each(|allowance| memory.unreserve(allowance));
        assert_eq!((memory.reserved, memory.reserved_bytes), (0, 0));
    }

    #[test]
    fn full_memory_keeps_a_reserve_for_empty_lanes() {
        let mut memory = MemoryBudget::default();
        (0..MEMORY_BUDGET_DELIVERIES).for_each(|_| memory.hold(1));
        assert!(!memory.fits(1) && memory.allowance(WANTED, false, 10).is_none());
        assert_eq!(memory.allowance(WANTED, true, 10), Some(Allowance { deliveries: 10, bytes: 1 }));
        (0..MEMORY_RESERVE_DELIVERIES).for_each(|_| memory.hold(1));
        assert!(memory.allowance(WANTED, true, 10).is_none());
        memory.wait(SubscriptionKey(7));
        assert_eq!(memory.next_starved(), None);
        memory.release(1, 1);
        assert_eq!(memory.next_starved(), Some(SubscriptionKey(7)));
    }
}
