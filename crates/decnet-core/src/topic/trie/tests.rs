//! The trie routes as the reference matcher does, after any edits.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::topic::matches;

fn token() -> impl Strategy<Value = String> {
    let long = Just("a-token-that-is-longer-than-a-node-has-room-for".to_owned());
    prop_oneof![
        6 => "[abc]", 2 => Just("*".to_owned()), 2 => Just(">".to_owned()), 2 => Just(String::new()), 1 => long
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(token(), 1..5).prop_map(|tokens| tokens.join("."))
}

fn patterns(max: usize) -> impl Strategy<Value = Vec<(Pattern, u32)>> {
    let pattern = (text(), 0u32..4).prop_filter_map("valid", |(p, s)| Some((Pattern::stored(&p).ok()?, s)));
    prop::collection::vec(pattern, 0..max)
}

fn expected<'a>(all: impl IntoIterator<Item = &'a (Pattern, u32)>, topic: &str) -> Vec<u32> {
    let found: BTreeSet<u32> =
        all.into_iter().filter(|(p, _)| matches(p.as_str(), topic)).map(|(_, s)| *s).collect();
    found.into_iter().collect()
}

proptest! {
    #[test]
    fn routing_equals_the_reference_matcher(all in patterns(12), topics in prop::collection::vec(text(), 1..12)) {
        let trie = PatternTrie::new(all.iter().map(|(p, s)| (p, *s)));
        let mut found = Vec::new();
        for topic in topics {
            trie.route(&topic, &mut found);
            prop_assert_eq!(&found, &expected(&all, &topic), "topic {}", topic);
        }
    }

    /// Each pair is added if it does not exist, and removed if it does. `strays` are removed although they do not exist.
    #[test]
    fn an_edited_trie_equals_a_new_one(
        edits in patterns(60), strays in patterns(5), topics in prop::collection::vec(text(), 1..8),
    ) {
        let (mut trie, mut model) = (PatternTrie::default(), BTreeSet::new());
        let mut found = Vec::new();
        for (pattern, subscription) in edits {
            if model.remove(&(pattern.clone(), subscription)) {
                trie.remove(&pattern, subscription);
            } else {
                trie.insert(&pattern, subscription);
                trie.insert(&pattern, subscription);
                model.insert((pattern, subscription));
            }
            for stray in strays.iter().filter(|stray| !model.contains(*stray)) {
                trie.remove(&stray.0, stray.1);
            }
            for topic in &topics {
                trie.route(topic, &mut found);
                prop_assert_eq!(&found, &expected(&model, topic), "topic {}", topic);
            }
        }
        let new = PatternTrie::new(model.iter().map(|(p, s)| (p, *s)));
        prop_assert_eq!(trie.nodes.len() - trie.free.len(), new.nodes.len());
        prop_assert_eq!(trie.cover(3), new.cover(3));
    }

    #[test]
    fn cover_matches_all_topics_of_its_patterns(
        all in patterns(10), max in 1usize..6, topic in text(),
    ) {
        let trie = PatternTrie::new(all.iter().map(|(p, s)| (p, *s)));
        let cover = trie.cover(max);
        prop_assert!(cover.len() <= max);
        let is_matched = all.iter().any(|(p, _)| matches(p.as_str(), &topic));
        prop_assert!(!is_matched || cover.iter().any(|p| matches(p.as_str(), &topic)));
        for (index, pattern) in cover.iter().enumerate() {
            let covers = |(other, by): (usize, &Pattern)| other != index && by.covers(pattern);
            prop_assert!(!cover.iter().enumerate().any(covers), "{:?}", cover);
        }
    }
}

#[test]
fn emptied_trie_has_only_free_nodes() {
    let mut trie = PatternTrie::default();
    let all: Vec<Pattern> =
        ["a.b.c", "a.*.c", "a.>", ">", "a"].iter().map(|p| Pattern::new(p).unwrap()).collect();
    for _ in 0..3 {
        all.iter().for_each(|pattern| trie.insert(pattern, 7));
        all.iter().for_each(|pattern| trie.remove(pattern, 7));
        assert_eq!((trie.nodes.len() - trie.free.len(), trie.nodes.len()), (1, 6));
        assert!(trie.cover(9).is_empty());
    }
}
