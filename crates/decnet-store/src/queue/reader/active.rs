//! The catalog's view of subscriptions, which decides whether a delivery is parked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use decnet_core::delivery::DeliveryStatus;
use decnet_core::time::UnixMicros;

use super::list::Listed;
use crate::catalog::Row;

/// The subscriptions of the catalog, active and parked. By default the catalog is unknown, and every subscription counts as
/// existing and active. Clones share the data.
#[derive(Debug, Clone, Default)]
pub struct ActiveSubscriptions(Option<Arc<Subscriptions>>);

#[derive(Debug, Default)]
struct Subscriptions {
    by_uuid: HashMap<String, Waits>,
    names: HashSet<String>,
}

/// The reasons why deliveries of a subscription wait.
#[derive(Debug)]
struct Waits {
    /// The reason why nothing is sent, unless the subscription is active.
    parked_by: Option<&'static str>,
    /// The end of the pause that the receiver asked for.
    deferred_until: Option<UnixMicros>,
}

impl ActiveSubscriptions {
    /// Creates the view from the catalog's rows.
    #[must_use]
    pub fn of(rows: Vec<Row>) -> Self {
        let mut all = Subscriptions::default();
        for row in rows {
            let waits = Waits { parked_by: row.parked_by(), deferred_until: row.deferred_until };
            all.by_uuid.insert(row.uuid, waits);
            all.names.insert(row.name);
        }
        Self(Some(Arc::new(all)))
    }

    /// Returns whether a subscription has this name or UUID; `true` if the catalog is unknown.
    #[must_use]
    pub fn contains(&self, name_or_uuid: &str) -> bool {
        self.exists(name_or_uuid) || self.0.as_ref().is_some_and(|all| all.names.contains(name_or_uuid))
    }

    /// Returns whether a subscription has this UUID; `true` if the catalog is unknown.
    #[must_use]
    pub fn exists(&self, uuid: &str) -> bool {
        self.0.as_ref().is_none_or(|all| all.by_uuid.contains_key(uuid))
    }

    /// Returns the status of a delivery.
    #[must_use]
    pub fn status(&self, listed: &Listed) -> DeliveryStatus {
        let is_active = self.0.is_none() || self.waits(listed).is_some_and(|waits| waits.parked_by.is_none());
        DeliveryStatus::new(listed.state, is_active)
    }

    /// Returns the time until which a delivery waits because its receiver asked for a pause (`Retry-After`), if that is after
    /// `now`.
    #[must_use]
    pub fn deferred_until(&self, listed: &Listed, now: UnixMicros) -> Option<UnixMicros> {
        let until = self.waits(listed)?.deferred_until?;
        let waits = matches!(self.status(listed), DeliveryStatus::Pending | DeliveryStatus::Retrying);
        (waits && until > now).then_some(until)
    }

    /// Returns the reason why a delivery is parked, in one or two words, if it is parked.
    #[must_use]
    pub fn parked_by(&self, listed: &Listed) -> Option<&'static str> {
        let is_parked = self.status(listed) == DeliveryStatus::Parked;
        let reason = || self.waits(listed).and_then(|waits| waits.parked_by);
        is_parked.then(|| reason().unwrap_or("no subscription"))
    }

    fn waits(&self, listed: &Listed) -> Option<&Waits> {
        self.0.as_ref()?.by_uuid.get(&*listed.subscription_uuid)
    }
}
