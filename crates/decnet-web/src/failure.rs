//! Dead deliveries, grouped by reason and receiver.

use crate::advice::{Advice, advice};
use crate::delivery::Name;
use crate::{Count, Time};

/// The dead deliveries of one subscription with one reason.
#[derive(Debug, Clone)]
pub struct Group {
    /// The subscription.
    pub subscription: Name,
    /// The name of the reason.
    pub reason: &'static str,
    /// The number of deliveries without a later delivery of the same event.
    pub open: Count,
    /// The number of deliveries that were redelivered.
    pub redelivered: Count,
    /// When the first of them became dead.
    pub oldest: Option<Time>,
    /// When the last of them became dead.
    pub newest: Option<Time>,
}

impl Group {
    /// Returns what the reason means.
    #[must_use]
    pub fn advice(&self) -> Advice {
        advice(self.reason)
    }
}
