//! What the catalog says of subscriptions, for telling what is parked.

use std::collections::HashSet;
use std::sync::Arc;

use decnet_core::delivery::Standing;
use decnet_core::subscription::Activity;

use super::list::Listed;
use crate::catalog::Row;

/// The subscriptions that get events now, and which there are. By default nobody knows: then nothing is parked. Clones
/// share it.
#[derive(Debug, Clone, Default)]
pub struct Active(Option<Arc<Known>>);

#[derive(Debug)]
struct Known {
    /// UUIDs.
    active: HashSet<String>,
    /// Names and UUIDs.
    all: HashSet<String>,
}

impl Active {
    /// From the catalog's rows.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        let gets_some = |row: &&Row| row.activity == Activity::Active && row.problem.is_none() && !row.paused;
        let active = rows.iter().filter(gets_some).map(|row| row.uuid.clone()).collect();
        let all = rows.into_iter().flat_map(|row| [row.name, row.uuid]).collect();
        Self(Some(Arc::new(Known { active, all })))
    }

    /// Whether a subscription has this name or UUID now, as far as can be told.
    #[must_use]
    pub fn knows(&self, wanted: &str) -> bool {
        self.0.as_ref().is_none_or(|known| known.all.contains(wanted))
    }

    /// Where a delivery stands.
    #[must_use]
    pub fn standing(&self, listed: &Listed) -> Standing {
        let is_active = self.0.as_ref().is_none_or(|known| known.active.contains(&*listed.subscription_uuid));
        Standing::new(listed.state, is_active)
    }
}
