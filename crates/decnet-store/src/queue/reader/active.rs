//! The catalog's view of subscriptions, which decides whether a delivery is parked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use decnet_core::delivery::DeliveryStatus;
use decnet_core::time::UnixMicros;

use super::list::Listed;
use crate::catalog::Row;

/// The subscriptions of the catalog, divided into active and parked subscriptions. By default the catalog is unknown, and every
/// subscription counts as existing and active. Clones share the data.
#[derive(Debug, Clone, Default)]
pub struct ActiveSubscriptions(Option<Arc<Subscriptions>>);

#[derive(Debug)]
struct Subscriptions {
    /// The UUIDs of active subscriptions.
    active: HashSet<String>,
    /// The UUIDs of the other subscriptions, and the reasons why nothing is sent to them.
    parked: HashMap<String, &'static str>,
    /// The UUIDs of subscriptions whose receivers asked for a pause, and the ends of the pauses.
    deferred: HashMap<String, UnixMicros>,
    /// The names and UUIDs of all subscriptions.
    all: HashSet<String>,
}

impl ActiveSubscriptions {
    /// Creates the view from the catalog's rows.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        let active = rows.iter().filter(|row| row.parked_by().is_none());
        let active = active.map(|row| row.uuid.clone()).collect();
        let parked = rows.iter().filter_map(|row| Some((row.uuid.clone(), row.parked_by()?))).collect();
        let deferred = rows.iter().filter_map(|row| Some((row.uuid.clone(), row.deferred_until?))).collect();
        let all = rows.into_iter().flat_map(|row| [row.name, row.uuid]).collect();
        Self(Some(Arc::new(Subscriptions { active, parked, deferred, all })))
    }

    /// Returns whether a subscription has this name or UUID; `true` if the catalog is unknown.
    #[must_use]
    pub fn contains(&self, name_or_uuid: &str) -> bool {
        self.0.as_ref().is_none_or(|catalog| catalog.all.contains(name_or_uuid))
    }

    /// Returns whether a subscription has this UUID; `true` if the catalog is unknown.
    #[must_use]
    pub fn exists(&self, uuid: &str) -> bool {
        let exists =
            |catalog: &Arc<Subscriptions>| catalog.active.contains(uuid) || catalog.parked.contains_key(uuid);
        self.0.as_ref().is_none_or(exists)
    }

    /// Returns the status of a delivery.
    #[must_use]
    pub fn status(&self, listed: &Listed) -> DeliveryStatus {
        let is_active =
            self.0.as_ref().is_none_or(|catalog| catalog.active.contains(&*listed.subscription_uuid));
        DeliveryStatus::new(listed.state, is_active)
    }

    /// Returns the time until which a delivery waits because its receiver asked for a pause (`Retry-After`), if that is after
    /// `now`.
    #[must_use]
    pub fn deferred_until(&self, listed: &Listed, now: UnixMicros) -> Option<UnixMicros> {
        let until = *self.0.as_ref()?.deferred.get(&*listed.subscription_uuid)?;
        let waits = matches!(self.status(listed), DeliveryStatus::Pending | DeliveryStatus::Retrying);
        (waits && until > now).then_some(until)
    }

    /// Returns the reason why a delivery is parked, in one or two words, if it is parked.
    #[must_use]
    pub fn parked_by(&self, listed: &Listed) -> Option<&'static str> {
        let reason = |catalog: &Arc<Subscriptions>| catalog.parked.get(&*listed.subscription_uuid).copied();
        let is_parked = self.status(listed) == DeliveryStatus::Parked;
        is_parked.then(|| self.0.as_ref().and_then(reason).unwrap_or("no subscription"))
    }
}
