//! What a lossless reader reports once it has applied a change of the subscriptions.

use serde::{Deserialize, Serialize};

/// The payload of [`APPLIED_TOPIC`](decnet_core::topic::own::APPLIED_TOPIC).
///
/// A lossless reader that subscribes to that topic promises to publish this after each change. Until it has done so for
/// the newest change, a bus of ours sends it every event, whatever its patterns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// How many events the reader had received on this connection when it began to read the subscriptions that it has
    /// applied by now.
    pub received: u64,
}
