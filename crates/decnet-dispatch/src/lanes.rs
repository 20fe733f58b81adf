//! The lanes of all subscriptions.

use std::ops::{Index, IndexMut};

use decnet_store::queue::SubscriptionKey;
use rustc_hash::FxHashMap;

use crate::lane::Lane;

/// The lanes, by subscription.
///
/// A lane is removed in one place only (`Dispatcher::on_discarded`), when its subscription was deleted and the lane is
/// [idle](Lane::is_idle): no request, settlement, admission into memory, or claim of it is under way. So:
///
/// - `lanes[key]` is for the results of such work, and for a lane that the same handler has found before. The lane exists;
///   otherwise its counters are wrong, and indexing panics.
/// - [`Lanes::get`] and [`Lanes::get_mut`] are for a key that was kept without being counted in the lane: by a timer, a
///   list, a release, a census or a write of the catalog. The lane may have been removed meanwhile; each caller states the
///   consequence.
#[derive(Debug, Default)]
pub(crate) struct Lanes(FxHashMap<SubscriptionKey, Lane>);

impl Lanes {
    pub(crate) fn get(&self, key: SubscriptionKey) -> Option<&Lane> {
        self.0.get(&key)
    }

    pub(crate) fn get_mut(&mut self, key: SubscriptionKey) -> Option<&mut Lane> {
        self.0.get_mut(&key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.0.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.0.values_mut()
    }

    pub(crate) fn insert(&mut self, lane: Lane) {
        self.0.insert(lane.key, lane);
    }

    pub(crate) fn remove(&mut self, key: SubscriptionKey) {
        self.0.remove(&key);
    }
}

impl Index<SubscriptionKey> for Lanes {
    type Output = Lane;

    fn index(&self, key: SubscriptionKey) -> &Lane {
        self.get(key).expect("a lane is kept while work of it is under way")
    }
}

impl IndexMut<SubscriptionKey> for Lanes {
    fn index_mut(&mut self, key: SubscriptionKey) -> &mut Lane {
        self.get_mut(key).expect("a lane is kept while work of it is under way")
    }
}
