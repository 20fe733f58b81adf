//! From a node and a token to the next node: one hash table for all edges.
//!
//! Open addressing with linear probing. A slot holds a hash and a node, so that a lookup touches one line of the
//! table and, where the hash is the right one, the node itself, which knows its parent and its token. A general
//! map would hold both a second time, or the token behind one more pointer.

use std::hash::Hasher as _;

use rustc_hash::FxHasher;

use super::node::{NONE, NodeId};

const MIN_SLOTS: usize = 16;

#[derive(Debug)]
pub(super) struct Edges {
    /// As many as a power of two.
    slots: Vec<Slot>,
    taken: usize,
}

/// Free where there is no node.
#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    child: NodeId,
}

const FREE: Slot = Slot { hash: 0, child: NONE };

/// Of a token under its parent.
pub(super) fn hash(parent: NodeId, token: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write_u32(parent);
    hasher.write(token);
    // Its low bits are its good ones.
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).expect("32 bits are left")
}

impl Default for Edges {
    fn default() -> Self {
        Self { slots: vec![FREE; MIN_SLOTS], taken: 0 }
    }
}

impl Edges {
    /// The child with this hash that `is` the right one.
    #[inline]
    pub(super) fn find(&self, hash: u32, is: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.child == NONE || (slot.hash == hash && is(slot.child)) {
                return (slot.child != NONE).then_some(slot.child);
            }
            at = self.after(at);
        }
    }

    /// Adds an edge that is not there yet.
    pub(super) fn insert(&mut self, hash: u32, child: NodeId) {
        if (self.taken + 1) * 2 > self.slots.len() {
            self.grow();
        }
        self.taken += 1;
        self.put(Slot { hash, child });
    }

    /// Takes away an edge that is there.
    pub(super) fn remove(&mut self, hash: u32, child: NodeId) {
        let mut hole = self.home(hash);
        while self.slots[hole].child != child {
            hole = self.after(hole);
        }
        self.taken -= 1;
        self.slots[hole] = FREE;
        self.close(hole);
    }

    /// Moves up what a lookup could not reach any more over the hole.
    fn close(&mut self, mut hole: usize) {
        let mut at = self.after(hole);
        while self.slots[at].child != NONE {
            let home = self.home(self.slots[at].hash);
            if self.distance(home, at) >= self.distance(hole, at) {
                self.slots.swap(hole, at);
                hole = at;
            }
            at = self.after(at);
        }
    }

    fn grow(&mut self) {
        let larger = vec![FREE; self.slots.len() * 2];
        let all = std::mem::replace(&mut self.slots, larger);
        all.into_iter().filter(|slot| slot.child != NONE).for_each(|slot| self.put(slot));
    }

    fn put(&mut self, slot: Slot) {
        let mut at = self.home(slot.hash);
        while self.slots[at].child != NONE {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    #[inline]
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
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
        fn finds_what_is_in_it_and_nothing_else(
            // Few hashes, so that many edges want the same slots, some of them around the end.
            steps in prop::collection::vec((0u32..40, prop_oneof![0u32..4, 60u32..66]), 0..80),
        ) {
            let (mut edges, mut model) = (Edges::default(), BTreeMap::new());
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
