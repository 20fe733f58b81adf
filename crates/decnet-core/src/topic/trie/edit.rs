//! Adding and removing patterns.

use super::node::{Links, NONE, Node, NodeId, ROOT};
use super::{Pattern, PatternTrie, edges};

impl PatternTrie {
    /// Adds a pattern of a subscription. Has no effect if the pattern exists.
    pub fn insert(&mut self, pattern: &Pattern, subscription: u32) {
        let mut at = ROOT;
        for token in pattern.tokens() {
            if token == ">" {
                return self.nodes[at as usize].tail.insert(subscription);
            }
            at = self.existing_child(at, token).unwrap_or_else(|| self.add_child(at, token));
        }
        self.nodes[at as usize].exact.insert(subscription);
    }

    /// Removes a pattern of a subscription, if it exists, and the nodes that only it needed.
    pub fn remove(&mut self, pattern: &Pattern, subscription: u32) {
        let mut at = ROOT;
        for token in pattern.tokens() {
            if token == ">" {
                self.nodes[at as usize].tail.remove(subscription);
                return self.prune(at);
            }
            let Some(child) = self.existing_child(at, token) else { return };
            at = child;
        }
        self.nodes[at as usize].exact.remove(subscription);
        self.prune(at);
    }

    fn existing_child(&self, parent: NodeId, token: &str) -> Option<NodeId> {
        if token == "*" {
            return Some(self.nodes[parent as usize].star).filter(|star| *star != NONE);
        }
        self.child(parent, token.as_bytes())
    }

    /// Adds a child as the first of its siblings.
    fn add_child(&mut self, parent: NodeId, token: &str) -> NodeId {
        let next = self.links[parent as usize].first_child;
        let links = Links { next, ..Links::default() };
        let child = self.allocate(Node::new(parent, token), links);
        self.links[parent as usize].first_child = child;
        if next != NONE {
            self.links[next as usize].previous = child;
        }
        if token == "*" {
            self.nodes[parent as usize].star = child;
        } else {
            self.edges.insert(edges::hash(parent, token.as_bytes()), child);
        }
        child
    }

    fn allocate(&mut self, node: Node, links: Links) -> NodeId {
        if let Some(at) = self.free.pop() {
            (self.nodes[at as usize], self.links[at as usize]) = (node, links);
            return at;
        }
        let at = NodeId::try_from(self.nodes.len()).ok().filter(|at| *at != NONE);
        self.nodes.push(node);
        self.links.push(links);
        at.expect("fewer than 2^32 nodes fit in memory")
    }

    /// Removes `at` and its ancestors as long as they have neither subscriptions nor children.
    fn prune(&mut self, mut at: NodeId) {
        while at != ROOT
            && !self.nodes[at as usize].has_subscriptions()
            && self.links[at as usize].first_child == NONE
        {
            let parent = self.nodes[at as usize].parent();
            self.unlink(parent, at);
            // Release the token: it may be long, and the node may stay free for a long time.
            self.nodes[at as usize] = Node::new(NONE, "");
            self.free.push(at);
            at = parent;
        }
    }

    fn unlink(&mut self, parent: NodeId, child: NodeId) {
        let Links { next, previous, .. } = self.links[child as usize];
        if next != NONE {
            self.links[next as usize].previous = previous;
        }
        if previous == NONE {
            self.links[parent as usize].first_child = next;
        } else {
            self.links[previous as usize].next = next;
        }
        if self.nodes[parent as usize].star == child {
            self.nodes[parent as usize].star = NONE;
        } else {
            self.edges.remove(edges::hash(parent, self.nodes[child as usize].token()), child);
        }
    }

    /// Returns the children of a node, in unspecified order.
    pub(super) fn children(&self, parent: NodeId) -> impl Iterator<Item = NodeId> {
        let some = |at: NodeId| (at != NONE).then_some(at);
        let first = some(self.links[parent as usize].first_child);
        std::iter::successors(first, move |at| some(self.links[*at as usize].next))
    }

    /// Returns whether any pattern continues after this node.
    pub(super) fn has_longer_patterns(&self, at: NodeId) -> bool {
        !self.nodes[at as usize].tail.is_empty() || self.links[at as usize].first_child != NONE
    }
}
