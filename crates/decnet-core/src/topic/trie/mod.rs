//! Routing of topics to subscriptions. The time depends on the tokens of the topic, not on the number of patterns.
//!
//! - `node`: a node of the trie, in one cache line;
//! - `edges`: one hash table for all edges, from a node and a token to the next node;
//! - `edit`: adds and removes single patterns, so that the cost of a change depends on its size;
//! - `cover`: a few patterns that match everything that the trie matches.

mod cover;
mod edges;
mod edit;
mod node;

use self::edges::EdgeTable;
use self::node::{Links, NONE, Node, NodeId, ROOT};
use super::Pattern;

/// The patterns of many subscriptions, for routing.
///
/// The caller chooses the numbers that identify subscriptions.
#[derive(Debug)]
pub struct PatternTrie {
    /// The part of the nodes that routing reads. Free nodes have no subscriptions and no children.
    nodes: Vec<Node>,
    /// The part of the nodes that only edits read.
    links: Vec<Links>,
    free: Vec<NodeId>,
    edges: EdgeTable,
}

/// The empty trie, which matches nothing.
impl Default for PatternTrie {
    fn default() -> Self {
        Self {
            nodes: vec![Node::new(NONE, "")],
            links: vec![Links::default()],
            free: Vec::new(),
            edges: EdgeTable::default(),
        }
    }
}

impl PatternTrie {
    /// Builds a trie from pairs of pattern and subscription.
    #[must_use]
    pub fn new<'a>(patterns: impl IntoIterator<Item = (&'a Pattern, u32)>) -> Self {
        let mut trie = Self::default();
        for (pattern, subscription) in patterns {
            trie.insert(pattern, subscription);
        }
        trie
    }

    /// Replaces `found` by the subscriptions with a pattern that matches `topic`, unique and in ascending order.
    ///
    /// The caller provides the buffer, so that routing does not allocate.
    pub fn route(&self, topic: &str, found: &mut Vec<u32>) {
        found.clear();
        self.walk(ROOT, Some(topic.as_bytes()), found);
        if found.len() > 1 {
            found.sort_unstable();
            found.dedup();
        }
    }

    /// Follows the literal edge and the `*` edge of each token. The recursion is as deep as the longest pattern.
    fn walk(&self, at: NodeId, rest: Option<&[u8]>, found: &mut Vec<u32>) {
        let node = &self.nodes[at as usize];
        let Some(rest) = rest else { return node.exact.add_to(found) };
        node.tail.add_to(found);
        let (token, rest) = first_token(rest);
        if node.star != NONE && !token.is_empty() {
            self.walk(node.star, rest, found);
        }
        if let Some(child) = self.child(at, token) {
            self.walk(child, rest, found);
        }
    }

    /// Returns the child for a literal `token`. The child for `*` is stored in the node.
    fn child(&self, parent: NodeId, token: &[u8]) -> Option<NodeId> {
        self.edges
            .find(edges::hash(parent, token), |child| self.nodes[child as usize].is_child(parent, token))
    }
}

/// Returns the first token of a topic and the rest, if there is any.
fn first_token(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests;
