//! The selection of the subscriptions that receive an event, and of the patterns to which the worker subscribes on the bus.

use decnet_core::limits::MAX_COVER_PATTERNS;
use decnet_core::topic::{Pattern, PatternTrie};
use decnet_store::queue::SubscriptionKey;

/// The routing table.
#[derive(Debug, Default)]
pub(super) struct Routing {
    pub(super) trie: PatternTrie,
    /// A few patterns that cover the patterns of all subscriptions.
    pub(super) cover: Vec<Pattern>,
    /// Whether the patterns have changed since the cover was computed.
    is_cover_stale: bool,
}

impl Routing {
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
}
