//! A topic to the set of its subscriptions, in time that grows with the topic's tokens alone.

use rustc_hash::FxHashMap;

use super::Pattern;

/// Tokens as small numbers, so that one map keyed by node and token holds all edges.
type Token = u32;
/// A place in the trie; 0 is the root.
type Node = u32;

const ROOT: Node = 0;
/// The token numbers of the wildcards, below any that a text gets.
const STAR: Token = 0;
const FIRST_TEXT: Token = 1;

/// Patterns of many subscriptions, compiled for routing.
///
/// A subscription is a number that the caller chooses, as small as it can.
#[derive(Debug)]
pub struct PatternTrie {
    tokens: FxHashMap<Box<str>, Token>,
    edges: FxHashMap<(Node, Token), Node>,
    /// By node: which subscriptions end here, and which have a `>` here.
    ends: Vec<Ends>,
}

#[derive(Debug, Default)]
struct Ends {
    here: Vec<u32>,
    below: Vec<u32>,
    has_star: bool,
}

/// Matches nothing.
impl Default for PatternTrie {
    fn default() -> Self {
        Self { tokens: FxHashMap::default(), edges: FxHashMap::default(), ends: vec![Ends::default()] }
    }
}

impl PatternTrie {
    /// Compiles pairs of pattern and subscription.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = (&'a Pattern, u32)>) -> Self {
        let mut trie = Self::default();
        for (pattern, subscription) in patterns {
            trie.insert(pattern, subscription);
        }
        trie
    }

    /// Replaces `found` by the subscriptions with a pattern that matches `topic`, each once, ascending.
    ///
    /// The buffer is the caller's so that routing allocates nothing.
    pub fn route(&self, topic: &str, found: &mut Vec<u32>) {
        found.clear();
        self.walk(ROOT, Some(topic), found);
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    fn insert(&mut self, pattern: &Pattern, subscription: u32) {
        let mut node = ROOT;
        for token in pattern.tokens() {
            if token == ">" {
                push_once(&mut self.ends[node as usize].below, subscription);
                return;
            }
            node = self.child(node, token);
        }
        push_once(&mut self.ends[node as usize].here, subscription);
    }

    fn child(&mut self, node: Node, token: &str) -> Node {
        let token = if token == "*" {
            self.ends[node as usize].has_star = true;
            STAR
        } else {
            self.intern(token)
        };
        let next = number(self.ends.len());
        let child = *self.edges.entry((node, token)).or_insert(next);
        if child == next {
            self.ends.push(Ends::default());
        }
        child
    }

    fn intern(&mut self, token: &str) -> Token {
        if let Some(&known) = self.tokens.get(token) {
            return known;
        }
        let new = number(self.tokens.len()) + FIRST_TEXT;
        self.tokens.insert(token.into(), new);
        new
    }

    /// Follows the text edge and the `*` edge of each token; the recursion is as deep as the longest pattern.
    fn walk(&self, node: Node, rest: Option<&str>, found: &mut Vec<u32>) {
        let ends = &self.ends[node as usize];
        let Some(rest) = rest else {
            found.extend_from_slice(&ends.here);
            return;
        };
        found.extend_from_slice(&ends.below);
        let (token, rest) = rest.split_once('.').map_or((rest, None), |(token, rest)| (token, Some(rest)));
        if ends.has_star && !token.is_empty() {
            self.follow(node, STAR, rest, found);
        }
        if let Some(&token) = self.tokens.get(token) {
            self.follow(node, token, rest, found);
        }
    }

    fn follow(&self, node: Node, token: Token, rest: Option<&str>, found: &mut Vec<u32>) {
        if let Some(&child) = self.edges.get(&(node, token)) {
            self.walk(child, rest, found);
        }
    }
}

/// Patterns of one subscription come one after the other, so the last entry tells.
fn push_once(list: &mut Vec<u32>, subscription: u32) {
    if list.last() != Some(&subscription) {
        list.push(subscription);
    }
}

fn number(len: usize) -> u32 {
    u32::try_from(len).expect("fewer than 2^32 tokens and nodes fit in memory")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::topic::matches;

    fn token() -> impl Strategy<Value = String> {
        prop_oneof![3 => "[abc]", 1 => Just("*".to_owned()), 1 => Just(">".to_owned()), 1 => Just(String::new())]
    }

    fn text() -> impl Strategy<Value = String> {
        prop::collection::vec(token(), 1..5).prop_map(|tokens| tokens.join("."))
    }

    proptest! {
        #[test]
        fn routes_as_the_naive_matcher(
            patterns in prop::collection::vec((text(), 0u32..4), 0..12),
            topics in prop::collection::vec(text(), 1..12),
        ) {
            let valid: Vec<(Pattern, u32)> =
                patterns.iter().filter_map(|(p, s)| Some((Pattern::stored(p).ok()?, *s))).collect();
            let trie = PatternTrie::new(valid.iter().map(|(p, s)| (p, *s)));
            let mut found = Vec::new();
            for topic in topics {
                trie.route(&topic, &mut found);
                let mut expected: Vec<u32> =
                    valid.iter().filter(|(p, _)| matches(p.as_str(), &topic)).map(|(_, s)| *s).collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(&found, &expected, "topic {}", topic);
            }
        }

        #[test]
        fn a_cover_matches_whatever_its_patterns_match(
            patterns in prop::collection::vec(text(), 1..10), max in 1usize..6, topic in text(),
        ) {
            let valid: Vec<Pattern> = patterns.iter().filter_map(|p| Pattern::stored(p).ok()).collect();
            let cover = crate::topic::minimal_cover(&valid, max);
            prop_assert!(cover.len() <= max);
            let wanted = valid.iter().any(|p| matches(p.as_str(), &topic));
            prop_assert!(!wanted || cover.iter().any(|p| matches(p.as_str(), &topic)));
        }
    }
}
