//! Where a delivery stands, as an operator sees it: one that waits for a subscription which gets nothing is
//! parked, though the queue does not store that.

use std::collections::HashSet;

use decnet_core::delivery::State;
use decnet_core::subscription::Activity;
use decnet_store::catalog::{Catalog, Create};
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

/// The subscriptions to which something is delivered now.
pub(super) struct Active(Option<HashSet<String>>);

impl Active {
    /// Asks the catalog. One that cannot be read leaves the queue's own states to be shown.
    pub(super) fn read(config: &Config) -> Self {
        match Self::try_read(config) {
            Ok(active) => Self(Some(active)),
            Err(error) => {
                tracing::warn!("parked deliveries cannot be told from others: {}", told(&error));
                Self(None)
            }
        }
    }

    fn try_read(config: &Config) -> anyhow::Result<HashSet<String>> {
        let rows = Catalog::open(config.database.path()?, Create::Never)?.rows()?;
        let active = rows.into_iter().filter(|row| row.activity == Activity::Active && row.problem.is_none());
        Ok(active.map(|row| row.uuid).collect())
    }

    /// Where a delivery stands.
    pub(super) fn standing(&self, listed: &Listed) -> Standing {
        let is_active = self.0.as_ref().is_none_or(|active| active.contains(&*listed.subscription_uuid));
        match listed.state {
            State::Delivered => Standing::Delivered,
            State::Dead { .. } => Standing::Dead,
            State::Pending | State::Retrying { .. } if !is_active => Standing::Parked,
            State::Pending => Standing::Pending,
            State::Retrying { .. } => Standing::Retrying,
        }
    }
}
