//! The ids of the newest events, so that an event which comes again is admitted once.

use std::collections::VecDeque;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use decnet_core::limits::DEDUP_WINDOW_EVENTS;
use rustc_hash::FxHashMap;

/// Hashes of the newest ids, under a random key so that no publisher can aim for a collision.
///
/// A hash only says where to look: the caller compares the id in the table before it calls an event a
/// duplicate, since a collision would lose an event.
#[derive(Debug, Default)]
pub(super) struct Recent {
    key: RandomState,
    seqs: FxHashMap<u64, i64>,
    /// In the order of admission.
    order: VecDeque<(u64, i64)>,
    /// How many at the end of `order` are not committed.
    staged: usize,
}

impl Recent {
    pub(super) fn hash(&self, id: &str) -> u64 {
        self.key.hash_one(id)
    }

    /// The event that may have this hash's id.
    pub(super) fn find(&self, hash: u64) -> Option<i64> {
        self.seqs.get(&hash).copied()
    }

    pub(super) fn stage(&mut self, hash: u64, seq: i64) {
        self.seqs.insert(hash, seq);
        self.order.push_back((hash, seq));
        self.staged += 1;
    }

    /// The staged ones are in the table for good; the oldest give way.
    pub(super) fn commit(&mut self) {
        self.staged = 0;
        while self.order.len() > DEDUP_WINDOW_EVENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.forget(oldest);
        }
    }

    /// The staged ones never were.
    pub(super) fn rollback(&mut self) {
        for staged in self.order.split_off(self.order.len() - self.staged) {
            self.forget(staged);
        }
        self.staged = 0;
    }

    fn forget(&mut self, (hash, seq): (u64, i64)) {
        if self.seqs.get(&hash) == Some(&seq) {
            self.seqs.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollback_forgets_only_what_was_staged() {
        let mut recent = Recent::default();
        recent.stage(1, 10);
        recent.commit();
        recent.stage(2, 11);
        recent.rollback();
        assert_eq!((recent.find(1), recent.find(2)), (Some(10), None));
    }

    #[test]
    fn the_window_is_bounded_and_drops_the_oldest() {
        let mut recent = Recent::default();
        for n in 0..=u64::try_from(DEDUP_WINDOW_EVENTS).unwrap() {
            recent.stage(n, i64::try_from(n).unwrap());
        }
        recent.commit();
        assert_eq!((recent.find(0), recent.find(1)), (None, Some(1)));
        assert_eq!((recent.order.len(), recent.seqs.len()), (DEDUP_WINDOW_EVENTS, DEDUP_WINDOW_EVENTS));
    }
}
