//! Deduplication: the ids of the newest events, so that an event that is published again is admitted once.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use decnet_core::limits::DEDUP_WINDOW_EVENTS;
use rustc_hash::FxHashMap;

/// Hashes of the newest ids, with a random key so that no publisher can construct a collision.
///
/// A hash is only a hint: the caller compares the id in the table before it treats an event as a duplicate, because a
/// collision would lose an event.
#[derive(Debug, Default)]
pub(super) struct RecentIds {
    key: RandomState,
    seqs: FxHashMap<u64, i64>,
    /// Hashes and sequence numbers in the order of admission.
    order: VecDeque<(u64, i64)>,
    /// The number of entries at the end of `order` that are not committed.
    staged: usize,
}

impl RecentIds {
    pub(super) fn hash(&self, id: &str) -> u64 {
        self.key.hash_one(id)
    }

    /// Returns the sequence number of the event whose id may have this hash.
    pub(super) fn find(&self, hash: u64) -> Option<i64> {
        self.seqs.get(&hash).copied()
    }

    pub(super) fn stage(&mut self, hash: u64, seq: i64) {
        self.seqs.insert(hash, seq);
        self.order.push_back((hash, seq));
        self.staged += 1;
    }

    /// Keeps the staged entries, and evicts the oldest entries beyond the window.
    pub(super) fn commit(&mut self) {
        self.staged = 0;
        while self.order.len() > DEDUP_WINDOW_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.remove(oldest);
        }
    }

    /// Removes the staged entries.
    pub(super) fn rollback(&mut self) {
        for staged in self.order.split_off(self.order.len() - self.staged) {
            self.remove(staged);
        }
        self.staged = 0;
    }

    fn remove(&mut self, (hash, seq): (u64, i64)) {
        if self.seqs.get(&hash) == Some(&seq) {
            self.seqs.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollback_removes_only_staged_entries() {
        let mut recent = RecentIds::default();
        recent.stage(1, 10);
        recent.commit();
        recent.stage(2, 11);
        recent.rollback();
        assert_eq!((recent.find(1), recent.find(2)), (Some(10), None));
    }

    #[test]
    fn full_window_evicts_the_oldest() {
        let mut recent = RecentIds::default();
        for n in 0..=u64::try_from(DEDUP_WINDOW_EVENTS).unwrap() {
            recent.stage(n, i64::try_from(n).unwrap());
        }
        recent.commit();
        assert_eq!((recent.find(0), recent.find(1)), (None, Some(1)));
        assert_eq!((recent.order.len(), recent.seqs.len()), (DEDUP_WINDOW_EVENTS, DEDUP_WINDOW_EVENTS));
    }
}
