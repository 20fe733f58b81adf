//! Readers that must not miss anything: who they are, and what the bus does for them.

use std::time::Duration;

use decnet_core::limits::{LOSSLESS_MEMORY_AGE, MAX_LOSSLESS_OUTBOUND_BYTES, MAX_PUBLISHER_PAUSE};

/// A client that greets with this name, or with this name, a space and the name of its instance, is a
/// lossless reader; see [`Lossless`].
///
/// Whoever greets with the very same text within [`Lossless::remember`] after it has gone is its successor.
pub const LOSSLESS_CLIENT_NAME: &str = "decnet-webhook lossless";

/// What a bus does for its lossless readers; the defaults stand in [`decnet_core::limits`].
///
/// - What waits for one is bounded in bytes instead of in frames.
/// - While there is no room for an event, its publisher is left unread, so that it has to wait. Publishers
///   whose events are not for that reader notice nothing.
/// - When that has taken too long the oldest events are dropped, counted and said, until the reader reads.
/// - When it goes, its patterns stay and what matches them is kept for its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lossless {
    /// Bytes that wait for one reader, there or away, with 128 for each event.
    pub bytes: usize,
    /// Longest time that a publisher waits for room, and that a reader is waited for.
    pub pause: Duration,
    /// How long a reader that has gone is remembered.
    pub remember: Duration,
}

impl Default for Lossless {
    fn default() -> Self {
        Self { bytes: MAX_LOSSLESS_OUTBOUND_BYTES, pause: MAX_PUBLISHER_PAUSE, remember: LOSSLESS_MEMORY_AGE }
    }
}

/// Is this the name of a lossless reader?
pub(crate) fn is_lossless(name: &str) -> bool {
    let instance = name.strip_prefix(LOSSLESS_CLIENT_NAME);
    instance.is_some_and(|instance| instance.is_empty() || instance.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_parted_by_a_space() {
        assert!(is_lossless(LOSSLESS_CLIENT_NAME) && is_lossless("decnet-webhook lossless east"));
        assert!(
            !is_lossless("decnet-webhook losslessly") && !is_lossless("decnet-webhook") && !is_lossless("")
        );
    }
}
