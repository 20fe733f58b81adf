//! Whether the queue can be written.

use std::time::Instant;

/// Whether the queue can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The last commit succeeded.
    Ok,
    /// Commits fail. Calls wait until a commit succeeds.
    Degraded {
        /// The cause, for the operator.
        error: String,
        /// The time of the first failed commit.
        since: Instant,
    },
}
