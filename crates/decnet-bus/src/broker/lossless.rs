//! Lossless readers: their names, and the limits that apply to them.

use std::time::Duration;

use decnet_core::limits::{LOSSLESS_SESSION_TTL, MAX_LOSSLESS_OUTBOUND_BYTES, MAX_PUBLISHER_PAUSE};

/// The name of a lossless reader, optionally followed by a space and the name of an instance; see [`Lossless`].
///
/// A client that sends `HELLO` with exactly the same text within [`Lossless::retention`] after it has disconnected is its
/// successor.
pub const LOSSLESS_CLIENT_NAME: &str = "decnet-webhook lossless";

/// The limits of lossless readers; the defaults are in [`decnet_core::limits`].
///
/// - The queue is bounded in bytes instead of in frames.
/// - If an event does not fit, the bus stops reading from its publisher. Publishers of events that the reader does not
///   want are not affected.
/// - After the maximum pause the oldest events are dropped, counted and logged, until the reader reads again.
/// - When the reader disconnects, its patterns remain and matching events are kept for its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lossless {
    /// The maximum size of one reader's queue in bytes, connected or not; each event adds 128 bytes.
    pub bytes: usize,
    /// The maximum time that a publisher waits for a full queue.
    pub pause: Duration,
    /// The time for which the session of a disconnected reader is retained.
    pub retention: Duration,
}

impl Default for Lossless {
    fn default() -> Self {
        Self {
            bytes: MAX_LOSSLESS_OUTBOUND_BYTES,
            pause: MAX_PUBLISHER_PAUSE,
            retention: LOSSLESS_SESSION_TTL,
        }
    }
}

/// Returns whether this is the name of a lossless reader.
pub(crate) fn is_lossless(name: &str) -> bool {
    let instance = name.strip_prefix(LOSSLESS_CLIENT_NAME);
    instance.is_some_and(|instance| instance.is_empty() || instance.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_separated_by_a_space() {
        assert!(is_lossless(LOSSLESS_CLIENT_NAME) && is_lossless("decnet-webhook lossless east"));
        assert!(
            !is_lossless("decnet-webhook losslessly") && !is_lossless("decnet-webhook") && !is_lossless("")
        );
    }
}
