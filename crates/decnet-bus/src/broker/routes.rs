//! Finds the connections whose patterns match a topic. Patterns are compiled when that is cheaper than testing them.
//!
//! Compiling takes time proportional to the number of patterns, so a change is not compiled at once. A new pattern is first tested
//! for each event; the matches of a connection that unsubscribed are checked against its remaining patterns. Once the
//! number of tests reaches the cost of compiling, the patterns are compiled.

use std::collections::HashSet;

use decnet_core::limits::{
    MAX_BUS_PATTERN_BYTES, MAX_PATTERN_BYTES_PER_CONNECTION, MAX_PATTERNS_PER_CONNECTION,
    RESERVED_BUS_PATTERN_BYTES,
};
use decnet_core::topic::{Pattern, PatternTrie, matches};

use super::peer::Peer;
use super::shares::Shares;

/// A connection's number, reused after it has closed.
pub(super) type Slot = u32;

/// The maximum number of patterns of one connection that do not compile (too long, too many tokens, inner whitespace).
/// Each is tested for every event; DECNET uses none.
const MAX_UNCOMPILED_PATTERNS: usize = 64;
/// The number of tests that never cause compilation.
const FREE_TESTS: usize = 64;
/// The approximate memory of a pattern in addition to its text, in bytes.
const PATTERN_OVERHEAD: usize = 128;
/// The approximate memory of each token of a compiled pattern, in bytes.
const TOKEN_OVERHEAD: usize = 128;

/// A connection subscribed to more patterns than it, or its user, may have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many patterns for this connection or this user")]
pub(super) struct TooManyPatterns;

#[derive(Debug)]
pub(super) struct Routes {
    compiled: PatternTrie,
    /// Patterns that are not compiled yet; the connection may have unsubscribed since.
    fresh: Vec<(Pattern, Slot)>,
    /// Patterns that cannot be compiled.
    uncompiled: Vec<(Box<str>, Slot)>,
    holders: Vec<Holder>,
    /// The number of tests since the last compilation.
    debt: usize,
    total: usize,
    /// The memory of all patterns, by user.
    memory: Shares,
}

/// The patterns of one connection.
#[derive(Debug, Default)]
struct Holder {
    patterns: HashSet<Box<str>>,
    /// The patterns that a predecessor subscribed to and this connection has not confirmed.
    inherited: HashSet<Box<str>>,
    /// The number of patterns that cannot be compiled.
    uncompiled: usize,
    /// The memory of the patterns in bytes.
    bytes: usize,
    /// The user that the memory is charged to; `None` without patterns.
    peer: Option<Peer>,
    /// Whether the connection has unsubscribed from patterns that are still compiled.
    is_stale: bool,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            compiled: PatternTrie::new([]),
            fresh: Vec::new(),
            uncompiled: Vec::new(),
            holders: Vec::new(),
            debt: 0,
            total: 0,
            memory: Shares::new(MAX_BUS_PATTERN_BYTES, RESERVED_BUS_PATTERN_BYTES),
        }
    }
}

impl Routes {
    pub(super) fn subscribe(&mut self, slot: Slot, peer: Peer, pattern: &str) -> Result<(), TooManyPatterns> {
        let holder = self.holder(slot);
        holder.inherited.remove(pattern);
        if holder.patterns.contains(pattern) {
            return Ok(());
        }
        let compilable = Pattern::stored(pattern).ok();
        if !self.holder(slot).has_room(compilable.is_none(), pattern) {
            self.drop_inherited(slot);
        }
        let has_room = self.holder(slot).has_room(compilable.is_none(), pattern);
        if !has_room || !self.memory.take(peer, memory_of(pattern)) {
            return Err(TooManyPatterns);
        }
        let holder = &mut self.holders[slot as usize];
        match compilable {
            Some(compilable) => self.fresh.push((compilable, slot)),
            None => {
                holder.uncompiled += 1;
                self.uncompiled.push((pattern.into(), slot));
            }
        }
        holder.patterns.insert(pattern.into());
        holder.bytes += memory_of(pattern);
        holder.peer = Some(peer);
        self.total += 1;
        self.compile_if_due(self.fresh.len());
        Ok(())
    }

    pub(super) fn unsubscribe(&mut self, slot: Slot, pattern: &str) {
        let Some(holder) = self.holders.get_mut(slot as usize) else { return };
        if !holder.patterns.remove(pattern) {
            return;
        }
        holder.inherited.remove(pattern);
        self.total -= 1;
        holder.is_stale = true;
        holder.bytes -= memory_of(pattern);
        if let Some(peer) = holder.peer {
            self.memory.release(peer, memory_of(pattern));
        }
        let before = self.uncompiled.len();
        self.uncompiled.retain(|(text, owner)| *owner != slot || **text != *pattern);
        holder.uncompiled -= before - self.uncompiled.len();
    }

    /// Removes a connection; its slot may be reused.
    pub(super) fn close(&mut self, slot: Slot) {
        let Some(holder) = self.holders.get_mut(slot as usize) else { return };
        self.total -= holder.patterns.len();
        if let Some(peer) = holder.peer {
            self.memory.release(peer, holder.bytes);
        }
        *holder = Holder { is_stale: true, ..Holder::default() };
        self.uncompiled.retain(|(_, owner)| *owner != slot);
        self.compile_if_due(self.fresh.len());
    }

    pub(super) fn holds(&self, slot: Slot, pattern: &str) -> bool {
        self.holders.get(slot as usize).is_some_and(|holder| holder.patterns.contains(pattern))
    }

    pub(super) fn has_patterns(&self, slot: Slot) -> bool {
        self.holders.get(slot as usize).is_some_and(|holder| !holder.patterns.is_empty())
    }

    /// Moves all patterns of one connection to a successor that has none. The successor confirms a pattern by subscribing to it;
    /// see [`Self::drop_inherited`].
    pub(super) fn transfer(&mut self, slot: Slot, successor: Slot, peer: Peer) {
        let given = std::mem::take(self.holder(slot));
        if let Some(owner) = given.peer {
            self.memory.transfer(owner, peer, given.bytes);
        }
        let inherited = given.patterns.clone();
        *self.holder(successor) = Holder { inherited, peer: given.peer.map(|_| peer), ..given };
        let moved = self.uncompiled.iter_mut().filter(|(_, owner)| *owner == slot);
        moved.for_each(|(_, owner)| *owner = successor);
        self.compile();
    }

    /// Unsubscribes from the inherited patterns that were not confirmed.
    pub(super) fn drop_inherited(&mut self, slot: Slot) {
        let inherited = std::mem::take(&mut self.holder(slot).inherited);
        inherited.iter().for_each(|pattern| self.unsubscribe(slot, pattern));
    }

    fn holder(&mut self, slot: Slot) -> &mut Holder {
        let index = slot as usize;
        if index >= self.holders.len() {
            self.holders.resize_with(index + 1, Holder::default);
        }
        &mut self.holders[index]
    }

    /// Replaces `found` by the connections with a pattern that matches `topic`, each once, in ascending order.
    pub(super) fn route(&mut self, topic: &str, found: &mut Vec<Slot>) {
        self.compile_if_due(self.debt);
        self.compiled.route(topic, found);
        let compiled = found.len();
        found.extend(self.fresh.iter().filter(|(p, _)| matches(p.as_str(), topic)).map(|(_, slot)| *slot));
        found.extend(self.uncompiled.iter().filter(|(p, _)| matches(p, topic)).map(|(_, slot)| *slot));
        if found.len() > compiled {
            found.sort_unstable();
            found.dedup();
        }
        let (holders, mut tests) = (&self.holders, self.fresh.len());
        found.retain(|slot| holders[*slot as usize].still_wants(topic, &mut tests));
        self.debt += tests;
    }

    /// Compiles when `work` exceeds the cost of compiling. Changes are also counted, so that `fresh` remains bounded even if
    /// nothing is published.
    fn compile_if_due(&mut self, work: usize) {
        if work > self.total + FREE_TESTS {
            self.compile();
        }
    }

    fn compile(&mut self) {
        let numbered = (0u32..).zip(&self.holders);
        let patterns: Vec<(Pattern, Slot)> = numbered
            .flat_map(|(slot, holder)| holder.patterns.iter().map(move |pattern| (pattern, slot)))
            .filter_map(|(pattern, slot)| Some((Pattern::stored(pattern).ok()?, slot)))
            .collect();
        self.compiled = PatternTrie::new(patterns.iter().map(|(pattern, slot)| (pattern, *slot)));
        self.fresh.clear();
        self.holders.iter_mut().for_each(|holder| holder.is_stale = false);
        self.debt = 0;
    }
}

/// Returns the approximate memory of a pattern in bytes.
fn memory_of(pattern: &str) -> usize {
    let dots = pattern.bytes().filter(|byte| *byte == b'.').count();
    pattern.len() + PATTERN_OVERHEAD + (dots + 1) * TOKEN_OVERHEAD
}

impl Holder {
    fn has_room(&self, is_uncompiled: bool, pattern: &str) -> bool {
        self.patterns.len() < MAX_PATTERNS_PER_CONNECTION
            && !(is_uncompiled && self.uncompiled >= MAX_UNCOMPILED_PATTERNS)
            && self.bytes + memory_of(pattern) <= MAX_PATTERN_BYTES_PER_CONNECTION
    }

    /// Returns whether a match is current. It is stale if only patterns that the connection unsubscribed from match.
    fn still_wants(&self, topic: &str, tests: &mut usize) -> bool {
        if !self.is_stale {
            return true;
        }
        *tests += self.patterns.len();
        self.patterns.iter().any(|pattern| matches(pattern, topic))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Subscribe(Slot, String),
        Unsubscribe(Slot, String),
        Close(Slot),
        Transfer(Slot, Slot),
        DropInherited(Slot),
        Route(String),
    }

    /// Returns the peer of a slot: two users have two connections each.
    fn peer(slot: Slot) -> Peer {
        if slot < 2 { Peer::TRUSTED } else { Peer::other(1) }
    }

    fn text() -> impl Strategy<Value = String> {
        let token = prop_oneof!["[ab]", Just("*".to_owned()), Just(">".to_owned()), Just("b c".to_owned())];
        prop::collection::vec(token, 1..4).prop_map(|tokens| tokens.join("."))
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0u32..4, text()).prop_map(|(slot, text)| Step::Subscribe(slot, text)),
            2 => (0u32..4, text()).prop_map(|(slot, text)| Step::Unsubscribe(slot, text)),
            1 => (0u32..4).prop_map(Step::Close),
            1 => (0u32..4, 1u32..4).prop_map(|(slot, by)| Step::Transfer(slot, (slot + by) % 4)),
            1 => (0u32..4).prop_map(Step::DropInherited),
            6 => text().prop_map(Step::Route),
        ]
    }

    proptest! {
        #[test]
        fn routes_equal_a_test_of_every_pattern(steps in prop::collection::vec(step(), 1..200)) {
            let (mut routes, mut found) = (Routes::default(), Vec::new());
            // The patterns of each connection, and whether they are inherited.
            let mut held: HashMap<(Slot, String), bool> = HashMap::new();
            for step in steps {
                match step {
                    Step::Subscribe(slot, text) => {
                        prop_assert_eq!(routes.subscribe(slot, peer(slot), &text), Ok(()));
                        held.insert((slot, text), false);
                    }
                    Step::Unsubscribe(slot, text) => {
                        routes.unsubscribe(slot, &text);
                        held.remove(&(slot, text));
                    }
                    Step::Close(slot) => {
                        routes.close(slot);
                        held.retain(|(owner, _), _| *owner != slot);
                    }
                    Step::Transfer(slot, successor) => {
                        routes.close(successor);
                        routes.transfer(slot, successor, peer(successor));
                        held.retain(|(owner, _), _| *owner != successor);
                        let given = held.extract_if(|(owner, _), _| *owner == slot);
                        let given: Vec<_> = given.map(|((_, text), _)| ((successor, text), true)).collect();
                        held.extend(given);
                    }
                    Step::DropInherited(slot) => {
                        routes.drop_inherited(slot);
                        held.retain(|(owner, _), inherited| *owner != slot || !*inherited);
                    }
                    Step::Route(topic) => {
                        routes.route(&topic, &mut found);
                        let wanted = held.keys().filter(|(_, text)| matches(text, &topic));
                        let mut expected: Vec<Slot> = wanted.map(|(slot, _)| *slot).collect();
                        expected.sort_unstable();
                        expected.dedup();
                        prop_assert_eq!(&found, &expected, "topic {}", topic);
                        prop_assert_eq!(routes.total, held.len());
                        let memory = held.keys().map(|(_, text)| memory_of(text)).sum::<usize>();
                        prop_assert_eq!(routes.memory.taken(), memory);
                    }
                }
            }
        }
    }

    #[test]
    fn patterns_are_bounded_in_number() {
        let (mut routes, one) = (Routes::default(), Peer::TRUSTED);
        let uncompiled = |n: usize| format!("a b.{n}");
        (0..MAX_UNCOMPILED_PATTERNS).for_each(|n| routes.subscribe(0, one, &uncompiled(n)).unwrap());
        assert_eq!(routes.subscribe(0, one, &uncompiled(0)), Ok(()));
        assert_eq!(routes.subscribe(0, one, &uncompiled(MAX_UNCOMPILED_PATTERNS)), Err(TooManyPatterns));
        for n in routes.total..MAX_PATTERNS_PER_CONNECTION {
            routes.subscribe(0, one, &format!("p.{n}")).unwrap();
        }
        assert_eq!(routes.subscribe(0, one, "one.more"), Err(TooManyPatterns));
        assert_eq!(routes.subscribe(1, one, "one.more"), Ok(()));
    }

    /// Subscribes to large patterns until one is rejected. Returns their memory.
    fn fill(routes: &mut Routes, slot: Slot, peer: Peer) -> usize {
        let wide = format!(".{}", vec!["t"; 60].join("."));
        let before = routes.memory.taken();
        assert!((0..100_000).any(|n| routes.subscribe(slot, peer, &format!("{slot}-{n}{wide}")).is_err()));
        routes.memory.taken() - before
    }

    #[test]
    fn patterns_are_bounded_in_bytes() {
        let mut routes = Routes::default();
        let one = fill(&mut routes, 0, Peer::TRUSTED);
        assert!(one <= MAX_PATTERN_BYTES_PER_CONNECTION && one > MAX_PATTERN_BYTES_PER_CONNECTION / 2);
        let others = fill(&mut routes, 1, Peer::other(1)) + fill(&mut routes, 2, Peer::other(2));
        assert!(others <= MAX_BUS_PATTERN_BYTES - RESERVED_BUS_PATTERN_BYTES, "{others}");
        fill(&mut routes, 3, Peer::TRUSTED);
        assert!(routes.memory.taken() <= MAX_BUS_PATTERN_BYTES);
        (0..4).for_each(|slot| routes.close(slot));
        assert_eq!(routes.memory.taken(), 0);
        assert_eq!(fill(&mut routes, 0, Peer::TRUSTED), one);
    }
}
