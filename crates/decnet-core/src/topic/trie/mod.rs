//! A topic to the set of its subscriptions, in time that grows with the topic's tokens alone.
//!
//! - `node`: a place in the trie, in one cache line;
//! - `edges`: from a node and a token to the next node, one table for all;
//! - `edit`: patterns come and go, one at a time, so that a change costs as much as it changes;
//! - `cover`: the few patterns that let through whatever the trie has.

mod cover;
mod edges;
mod edit;
mod node;

use self::edges::Edges;
use self::node::{Links, NONE, Node, NodeId, ROOT};
use super::Pattern;

/// Patterns of many subscriptions, ready for routing.
///
/// A subscription is a number that the caller chooses.
#[derive(Debug)]
pub struct PatternTrie {
    /// What routing reads. A place that is free has no ends and no children.
    nodes: Vec<Node>,
    /// What only changes read.
    links: Vec<Links>,
    free: Vec<NodeId>,
    edges: Edges,
}

/// Matches nothing.
impl Default for PatternTrie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(NONE, "")],
            links: vec![Links::default()],
            free: Vec::new(),
            edges: Edges::default(),
        }
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
        self.walk(ROOT, Some(topic.as_bytes()), found);
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    /// Follows the text edge and the `*` edge of each token; the recursion is as deep as the longest pattern.
    fn walk(&self, at: NodeId, rest: Option<&[u8]>, found: &mut Vec<u32>) {
        let node = &self.nodes[at as usize];
        let Some(rest) = rest else { return node.here.add_to(found) };
        node.below.add_to(found);
        let (token, rest) = first_token(rest);
        if node.star != NONE && !token.is_empty() {
            self.walk(node.star, rest, found);
        }
        if let Some(child) = self.child(at, token) {
            self.walk(child, rest, found);
        }
    }

    /// Where the text `token` leads from `parent`; the wildcard has an edge of its own.
    fn child(&self, parent: NodeId, token: &[u8]) -> Option<NodeId> {
        self.edges.find(edges::hash(parent, token), |child| self.nodes[child as usize].is(parent, token))
    }
}

/// A topic's next token, and what follows it.
fn first_token(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests;
