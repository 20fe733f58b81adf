//! Which connections want a topic: every connection's patterns, compiled, with changes worked in when they pay.
//!
//! Compiling costs as much as there are patterns, so a change does not compile at once. A new pattern is
//! tested by itself for a while; a connection that gave one up has its hits checked against what it still
//! holds. Both are work per event, and when that work has added up to what compiling costs, it is compiled.

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

/// Patterns of one connection that do not compile (too long, too many tokens, white space within): each is
/// tested for every event, and DECNET writes none.
const MAX_ODD_PATTERNS: usize = 64;
/// Tests per event that are too few to think about.
const FREE_TESTS: usize = 64;
/// Memory that a pattern takes beside its text, about, in bytes.
const PATTERN_OVERHEAD: usize = 128;
/// Memory that each token of a pattern takes when it is compiled, about, in bytes.
const TOKEN_OVERHEAD: usize = 128;

/// A connection asked for more patterns than it, or its user, may hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooManyPatterns;

#[derive(Debug)]
pub(super) struct Routes {
    compiled: PatternTrie,
    /// Not yet compiled; may have been given up since.
    fresh: Vec<(Pattern, Slot)>,
    /// Never compiled.
    odd: Vec<(Box<str>, Slot)>,
    holders: Vec<Holder>,
    /// Tests made since the last compilation.
    debt: usize,
    total: usize,
    /// Memory of all patterns, by user.
    memory: Shares,
}

/// What one connection holds.
#[derive(Debug, Default)]
struct Holder {
    patterns: HashSet<Box<str>>,
    /// Those of them that a predecessor asked for, and nobody since.
    inherited: HashSet<Box<str>>,
    odd: usize,
    /// Memory of the patterns.
    bytes: usize,
    /// Whose patterns they are; `None` while there is none.
    peer: Option<Peer>,
    /// It gave up patterns that are still compiled.
    is_stale: bool,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            compiled: PatternTrie::new([]),
            fresh: Vec::new(),
            odd: Vec::new(),
            holders: Vec::new(),
            debt: 0,
            total: 0,
            memory: Shares::new(MAX_BUS_PATTERN_BYTES, RESERVED_BUS_PATTERN_BYTES),
        }
    }

    pub(super) fn subscribe(&mut self, slot: Slot, peer: Peer, pattern: &str) -> Result<(), TooManyPatterns> {
        let holder = self.holder(slot);
        holder.inherited.remove(pattern);
        if holder.patterns.contains(pattern) {
            return Ok(());
        }
        let compilable = Pattern::stored(pattern).ok();
        if !self.holder(slot).has_room(compilable.is_none(), pattern) {
            self.give_up_inherited(slot);
        }
        let has_room = self.holder(slot).has_room(compilable.is_none(), pattern);
        if !has_room || !self.memory.take(peer, memory_of(pattern)) {
            return Err(TooManyPatterns);
        }
        let holder = &mut self.holders[slot as usize];
        match compilable {
            Some(compilable) => self.fresh.push((compilable, slot)),
            None => {
                holder.odd += 1;
                self.odd.push((pattern.into(), slot));
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
            self.memory.give_back(peer, memory_of(pattern));
        }
        let before = self.odd.len();
        self.odd.retain(|(odd, owner)| *owner != slot || **odd != *pattern);
        holder.odd -= before - self.odd.len();
    }

    /// Forgets a connection; its number may be given to another.
    pub(super) fn close(&mut self, slot: Slot) {
        let Some(holder) = self.holders.get_mut(slot as usize) else { return };
        self.total -= holder.patterns.len();
        if let Some(peer) = holder.peer {
            self.memory.give_back(peer, holder.bytes);
        }
        *holder = Holder { is_stale: true, ..Holder::default() };
        self.odd.retain(|(_, owner)| *owner != slot);
        self.compile_if_due(self.fresh.len());
    }

    pub(super) fn holds(&self, slot: Slot, pattern: &str) -> bool {
        self.holders.get(slot as usize).is_some_and(|holder| holder.patterns.contains(pattern))
    }

    pub(super) fn has_patterns(&self, slot: Slot) -> bool {
        self.holders.get(slot as usize).is_some_and(|holder| !holder.patterns.is_empty())
    }

    /// Gives all patterns of one connection to another that has none, for it to ask for again or not.
    pub(super) fn bequeath(&mut self, slot: Slot, heir: Slot, peer: Peer) {
        let given = std::mem::take(self.holder(slot));
        if let Some(owner) = given.peer {
            self.memory.transfer(owner, peer, given.bytes);
        }
        let inherited = given.patterns.clone();
        *self.holder(heir) = Holder { inherited, peer: given.peer.map(|_| peer), ..given };
        self.odd.iter_mut().filter(|(_, owner)| *owner == slot).for_each(|(_, owner)| *owner = heir);
        self.compile();
    }

    /// Gives up what was inherited and not asked for again.
    pub(super) fn give_up_inherited(&mut self, slot: Slot) {
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

    /// Replaces `found` by the connections with a pattern that matches `topic`, each once, ascending.
    pub(super) fn route(&mut self, topic: &str, found: &mut Vec<Slot>) {
        self.compile_if_due(self.debt);
        self.compiled.route(topic, found);
        let compiled = found.len();
        found.extend(self.fresh.iter().filter(|(p, _)| matches(p.as_str(), topic)).map(|(_, slot)| *slot));
        found.extend(self.odd.iter().filter(|(p, _)| matches(p, topic)).map(|(_, slot)| *slot));
        if found.len() > compiled {
            found.sort_unstable();
            found.dedup();
        }
        let (holders, mut tests) = (&self.holders, self.fresh.len());
        found.retain(|slot| holders[*slot as usize].still_wants(topic, &mut tests));
        self.debt += tests;
    }

    /// Compiles when `work` has come to what that costs. Changes count too, so that `fresh` stays bounded
    /// where nobody publishes.
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

/// Memory that a pattern takes, about, in bytes.
fn memory_of(pattern: &str) -> usize {
    let dots = pattern.bytes().filter(|byte| *byte == b'.').count();
    pattern.len() + PATTERN_OVERHEAD + (dots + 1) * TOKEN_OVERHEAD
}

impl Holder {
    fn has_room(&self, is_odd: bool, pattern: &str) -> bool {
        self.patterns.len() < MAX_PATTERNS_PER_CONNECTION
            && !(is_odd && self.odd >= MAX_ODD_PATTERNS)
            && self.bytes + memory_of(pattern) <= MAX_PATTERN_BYTES_PER_CONNECTION
    }

    /// A hit counts unless it may come from a pattern that was given up and no other one matches.
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
        Bequeath(Slot, Slot),
        GiveUp(Slot),
        Route(String),
    }

    /// Two users with two connections each.
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
            1 => (0u32..4, 1u32..4).prop_map(|(slot, by)| Step::Bequeath(slot, (slot + by) % 4)),
            1 => (0u32..4).prop_map(Step::GiveUp),
            6 => text().prop_map(Step::Route),
        ]
    }

    proptest! {
        #[test]
        fn routes_as_every_pattern_tested_by_itself(steps in prop::collection::vec(step(), 1..200)) {
            let (mut routes, mut found) = (Routes::new(), Vec::new());
            // Who holds what, and is it inherited.
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
                    Step::Bequeath(slot, heir) => {
                        routes.close(heir);
                        routes.bequeath(slot, heir, peer(heir));
                        held.retain(|(owner, _), _| *owner != heir);
                        let given = held.extract_if(|(owner, _), _| *owner == slot);
                        let given: Vec<_> = given.map(|((_, text), _)| ((heir, text), true)).collect();
                        held.extend(given);
                    }
                    Step::GiveUp(slot) => {
                        routes.give_up_inherited(slot);
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
        let (mut routes, one) = (Routes::new(), Peer::TRUSTED);
        let odd = |n: usize| format!("a b.{n}");
        (0..MAX_ODD_PATTERNS).for_each(|n| routes.subscribe(0, one, &odd(n)).unwrap());
        assert_eq!(routes.subscribe(0, one, &odd(0)), Ok(()));
        assert_eq!(routes.subscribe(0, one, &odd(MAX_ODD_PATTERNS)), Err(TooManyPatterns));
        for n in routes.total..MAX_PATTERNS_PER_CONNECTION {
            routes.subscribe(0, one, &format!("p.{n}")).unwrap();
        }
        assert_eq!(routes.subscribe(0, one, "one.more"), Err(TooManyPatterns));
        assert_eq!(routes.subscribe(1, one, "one.more"), Ok(()));
    }

    /// Subscribes to patterns that take much memory until one is refused. Returns their memory.
    fn fill(routes: &mut Routes, slot: Slot, peer: Peer) -> usize {
        let wide = format!(".{}", vec!["t"; 60].join("."));
        let before = routes.memory.taken();
        assert!((0..100_000).any(|n| routes.subscribe(slot, peer, &format!("{slot}-{n}{wide}")).is_err()));
        routes.memory.taken() - before
    }

    #[test]
    fn patterns_are_bounded_in_bytes() {
        let mut routes = Routes::new();
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
