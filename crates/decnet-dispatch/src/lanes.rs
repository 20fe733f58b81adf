//! The lanes of all subscriptions.

use std::ops::{Deref, DerefMut, Index, IndexMut};

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
/// - `get` and `get_mut` are for a key that was kept without being counted in the lane: by a timer, a
///   list, a release, a census or a write of the catalog. The lane may have been removed since then; each caller states the
///   consequence.
#[derive(Debug, Default)]
pub(crate) struct Lanes(FxHashMap<SubscriptionKey, Lane>);

impl Deref for Lanes {
    type Target = FxHashMap<SubscriptionKey, Lane>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Lanes {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Index<SubscriptionKey> for Lanes {
    type Output = Lane;

    fn index(&self, key: SubscriptionKey) -> &Lane {
        self.get(&key).expect("a lane is kept while work of it is under way")
    }
}

impl IndexMut<SubscriptionKey> for Lanes {
    fn index_mut(&mut self, key: SubscriptionKey) -> &mut Lane {
        self.get_mut(&key).expect("a lane is kept while work of it is under way")
    }
}
