//! One hash table for all edges, from a node and a token to the next node.
//!
//! Open addressing with linear probing. A slot holds a hash and a node, so that a lookup reads one cache line of the table and,
//! if the hash is equal, the node itself, which has its parent and its token. A general map would store the parent and the token
//! a second time, or the token behind another pointer.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use super::node::{NONE, NodeId};

const MIN_SLOTS: usize = 16;

#[derive(Debug)]
pub(super) struct EdgeTable {
    /// The slots; their number is a power of two.
    slots: Vec<Slot>,
    /// The number of edges.
    len: usize,
}

/// A slot, which is free if `child` is `NONE`.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    child: NodeId,
}

const FREE: Slot = Slot { hash: 0, child: NONE };

/// Returns the hash of an edge.
pub(super) fn hash(parent: NodeId, token: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(parent);
    hasher.write(token);
    // The low bits of this hash are the well-distributed ones.
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).expect("the mask leaves 32 bits")
}

impl Default for EdgeTable {
    fn default() -> Self {
        Self { slots: vec![FREE; MIN_SLOTS], len: 0 }
    }
}

impl EdgeTable {
    /// Returns the child with this hash that `is_match` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u32, is_match: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.child == NONE || (slot.hash == hash && is_match(slot.child)) {
                return (slot.child != NONE).then_some(slot.child);
            }
            at = self.next(at);
        }
    }

    /// Adds an edge, which must not exist.
    pub(super) fn insert(&mut self, hash: u32, child: NodeId) {
        if (self.len + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.len += 1;
        self.fill(Slot { hash, child });
    }

    /// Removes an edge, which must exist.
    pub(super) fn remove(&mut self, hash: u32, child: NodeId) {
        let mut hole = self.home(hash);
        while self.slots[hole].child != child {
            hole = self.next(hole);
        }
        self.len -= 1;
        self.slots[hole] = FREE;
        self.shift_back(hole);
    }

    /// Moves the edges behind a hole that a lookup could no longer reach (backward shift deletion).
    fn shift_back(&mut self, mut hole: usize) {
        let mut at = self.next(hole);
        while self.slots[at].child != NONE {
            let home = self.home(self.slots[at].hash);
            if self.distance(home, at) >= self.distance(hole, at) {
                self.slots.swap(hole, at);
                hole = at;
            }
            at = self.next(at);
        }
    }

    fn grow(&mut self) {
        let larger = vec![FREE; self.slots.len() * 2];
        let all = std::mem::replace(&mut self.slots, larger);
        all.into_iter().filter(|slot| slot.child != NONE).for_each(|slot| self.fill(slot));
    }

    /// Stores an edge in the first free slot.
    fn fill(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].child != NONE {
            at = self.next(at);
        }
        self.slots[at] = slot;
    }

    /// Returns the slot at which the search for a hash begins.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn next(&self, at: usize) -> usize {
        (at + 1) & (self.slots.len() - 1)
    }

    fn distance(&self, from: usize, to: usize) -> usize {
        to.wrapping_sub(from) & (self.slots.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_inserted_edges_are_found(
            // Few hashes, so that many edges collide, some of them around the end of the table.
            steps in prop::collection::vec((0u32..40, prop_oneof![0u32..4, 60u32..66]), 0..80),
        ) {
            let (mut edges, mut model) = (EdgeTable::default(), BTreeMap::new());
            for (child, hash) in steps {
                match model.remove(&child) {
                    Some(hash) => edges.remove(hash, child),
                    None => {
                        model.insert(child, hash);
                        edges.insert(hash, child);
                    }
                }
                for child in 0..40 {
                    let found = (0..66).find_map(|hash| edges.find(hash, |node| node == child).map(|_| hash));
                    prop_assert_eq!(found, model.get(&child).copied());
                }
            }
        }
    }
}
