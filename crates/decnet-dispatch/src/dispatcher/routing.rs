//! Which subscriptions receive an event, and what the worker subscribes to on the bus for that.

use decnet_core::limits::MAX_COVER_PATTERNS;
use decnet_core::topic::{Pattern, PatternTrie};
use decnet_store::queue::SubscriptionKey;

/// The routing table.
#[derive(Debug, Default)]
pub(super) struct Routing {
    trie: PatternTrie,
    cover: Vec<Pattern>,
    /// Whether the patterns have changed since the cover was computed.
    is_cover_stale: bool,
}

impl Routing {
    /// Replaces `keys` by the subscriptions whose patterns match the topic.
    pub(super) fn route(&self, topic: &str, keys: &mut Vec<u32>) {
        self.trie.route(topic, keys);
    }

    /// Replaces the patterns `old` of a subscription by `new`.
    pub(super) fn replace(&mut self, key: SubscriptionKey, old: &[Pattern], new: &[Pattern]) {
        if old != new {
            old.iter().for_each(|pattern| self.trie.remove(pattern, key.0));
            new.iter().for_each(|pattern| self.trie.insert(pattern, key.0));
            self.is_cover_stale = true;
        }
    }

    /// Computes the cover again if the patterns have changed.
    pub(super) fn update_cover(&mut self) {
        if std::mem::take(&mut self.is_cover_stale) {
            self.cover = self.trie.cover(MAX_COVER_PATTERNS);
        }
    }

    /// Returns a few patterns that cover those of all subscriptions.
    pub(super) fn cover(&self) -> &[Pattern] {
        &self.cover
    }
}
