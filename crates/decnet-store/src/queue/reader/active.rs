//! What the catalog says of subscriptions, for telling what is parked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use decnet_core::delivery::Standing;
use decnet_core::time::UnixMicros;

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
    /// The other UUIDs, and why nothing is sent to them.
    parked: HashMap<String, &'static str>,
    /// UUIDs, and until when their receivers have asked to be sent nothing.
    deferred: HashMap<String, UnixMicros>,
    /// Names and UUIDs.
    all: HashSet<String>,
}

impl Active {
    /// From the catalog's rows.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        let active = rows.iter().filter(|row| row.parked_by().is_none());
        let active = active.map(|row| row.uuid.clone()).collect();
        let parked = rows.iter().filter_map(|row| Some((row.uuid.clone(), row.parked_by()?))).collect();
        let deferred = rows.iter().filter_map(|row| Some((row.uuid.clone(), row.deferred_until?))).collect();
        let all = rows.into_iter().flat_map(|row| [row.name, row.uuid]).collect();
        Self(Some(Arc::new(Known { active, parked, deferred, all })))
    }

    /// Whether a subscription has this name or UUID now, as far as can be told.
    #[must_use]
    pub fn knows(&self, wanted: &str) -> bool {
        self.0.as_ref().is_none_or(|known| known.all.contains(wanted))
    }

    /// Returns whether the subscription with this UUID exists; `true` where nobody knows which do.
    #[must_use]
    pub fn exists(&self, uuid: &str) -> bool {
        let exists = |known: &Arc<Known>| known.active.contains(uuid) || known.parked.contains_key(uuid);
        self.0.as_ref().is_none_or(exists)
    }

    /// Where a delivery stands.
    #[must_use]
    pub fn standing(&self, listed: &Listed) -> Standing {
        let is_active = self.0.as_ref().is_none_or(|known| known.active.contains(&*listed.subscription_uuid));
        Standing::new(listed.state, is_active)
    }

    /// Returns until when a delivery waits because its receiver has asked to be sent nothing (`Retry-After`), if it does at
    /// `now`.
    #[must_use]
    pub fn deferred_until(&self, listed: &Listed, now: UnixMicros) -> Option<UnixMicros> {
        let until = *self.0.as_ref()?.deferred.get(&*listed.subscription_uuid)?;
        let waits = matches!(self.standing(listed), Standing::Pending | Standing::Retrying);
        (waits && until > now).then_some(until)
    }

    /// Why a delivery is parked, in a word or two, if it is.
    #[must_use]
    pub fn parked_by(&self, listed: &Listed) -> Option<&'static str> {
        let why = |known: &Arc<Known>| known.parked.get(&*listed.subscription_uuid).copied();
        let is_parked = self.standing(listed) == Standing::Parked;
        is_parked.then(|| self.0.as_ref().and_then(why).unwrap_or("no subscription"))
    }
}
