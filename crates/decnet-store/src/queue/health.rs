//! What the writer says about itself.

use std::time::Instant;

/// Can the queue be written?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// Yes.
    Ok,
    /// Not now. What was asked of it waits, and is done when it can be.
    Degraded {
        /// What is in the way, for the operator.
        error: String,
        /// When the first commit failed.
        since: Instant,
    },
}
