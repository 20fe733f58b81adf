//! The report of a lossless reader that has applied a change of the subscriptions.

use serde::{Deserialize, Serialize};

/// The payload of [`APPLIED_TOPIC`](decnet_core::topic::system_topics::APPLIED_TOPIC).
///
/// A lossless reader that subscribes to that topic publishes this report after each change. Until the report for the newest
/// change arrives, the bus sends it every event, regardless of its patterns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The number of events that the reader had received on this connection when it began to read the subscriptions that
    /// it has now applied.
    pub received: u64,
}
