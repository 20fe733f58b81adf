//! Where a delivery stands, as an operator sees it: one that waits for a subscription which gets nothing is
//! parked, though the queue does not store that.

use std::collections::HashSet;

use decnet_core::delivery::State;
use decnet_core::subscription::Activity;
use decnet_store::catalog::{Catalog, Create, Error};
use decnet_store::queue::{Listed, StateFilter};

use crate::config::Config;
use crate::failure::told;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Standing {
    /// Not yet attempted
    Pending,
    /// Waits for its next attempt
    Retrying,
    /// Waits for its subscription to be enabled, or to recover
    Parked,
    /// A 2xx came back
    Delivered,
    /// Given up
    Dead,
}

impl Standing {
    /// As it is shown.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// The queue's states in which it may be.
    pub(super) fn stored(self) -> &'static [StateFilter] {
        match self {
            Self::Pending => &[StateFilter::Pending],
            Self::Retrying => &[StateFilter::Retrying],
            Self::Parked => &[StateFilter::Pending, StateFilter::Retrying],
            Self::Delivered => &[StateFilter::Delivered],
            Self::Dead => &[StateFilter::Dead],
        }
    }
}

/// What the catalog says of the subscriptions: to which something is delivered now, and which there are.
pub(super) struct Active(Option<Known>);

struct Known {
    /// UUIDs.
    active: HashSet<String>,
    /// Names and UUIDs.
    all: HashSet<String>,
}

impl Active {
    /// Asks the catalog. One that cannot be read leaves the queue's own states to be shown.
    pub(super) fn read(config: &Config) -> Self {
        match Self::try_read(config) {
            Ok(known) => Self(Some(known)),
            // Before the first subscription there is nothing to tell.
            Err(error) if matches!(error.downcast_ref(), Some(Error::Missing { .. })) => Self(None),
            Err(error) => {
                tracing::warn!("parked deliveries cannot be told from others: {}", told(&error));
                Self(None)
            }
        }
    }

    fn try_read(config: &Config) -> anyhow::Result<Known> {
        let rows = Catalog::open(config.database.path()?, Create::Never)?.rows()?;
        let active = rows.iter().filter(|row| row.activity == Activity::Active && row.problem.is_none());
        let active = active.map(|row| row.uuid.clone()).collect();
        Ok(Known { active, all: rows.into_iter().flat_map(|row| [row.name, row.uuid]).collect() })
    }

    /// Whether a subscription has this name or UUID now, as far as can be told.
    pub(super) fn knows(&self, wanted: &str) -> bool {
        self.0.as_ref().is_none_or(|known| known.all.contains(wanted))
    }

    /// Where a delivery stands.
    pub(super) fn standing(&self, listed: &Listed) -> Standing {
        let is_active = self.0.as_ref().is_none_or(|known| known.active.contains(&*listed.subscription_uuid));
        match listed.state {
            State::Delivered => Standing::Delivered,
            State::Dead { .. } => Standing::Dead,
            State::Pending | State::Retrying { .. } if !is_active => Standing::Parked,
            State::Pending => Standing::Pending,
            State::Retrying { .. } => Standing::Retrying,
        }
    }
}
