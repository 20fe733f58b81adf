//! Until when a lane sends nothing: neither first attempts nor retries nor probes. Requests in flight go on.

use std::time::Duration;

use decnet_core::time::BootMicros;

/// Replies to requests that were in flight together name about the same end of a wait.
const SAME_WAIT: Duration = Duration::from_secs(1);

/// The times before which a lane sends nothing, by who asked for them; they may have passed.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// Set after this host could not send, since the next request would fail alike.
    host: Option<BootMicros>,
    /// Set by the receiver's `Retry-After`.
    receiver: Option<BootMicros>,
}

impl Hold {
    /// Holds the lane back after a fault of this host.
    pub(crate) fn by_host(&mut self, until: BootMicros) {
        self.host = Some(until);
    }

    /// Holds the lane back at the receiver's request. The latest of several requests counts, which breaks none of them.
    /// Returns whether this one is news, and not the same wait in another reply.
    pub(crate) fn by_receiver(&mut self, until: BootMicros) -> bool {
        let before = self.receiver;
        self.receiver = before.max(Some(until));
        before.is_none_or(|before| until.since(before) >= SAME_WAIT)
    }

    /// Forgets what the receiver asked for. Returns whether that was still to come at `now`.
    pub(crate) fn lift(&mut self, now: BootMicros) -> bool {
        self.receiver.take().is_some_and(|until| until > now)
    }

    /// Returns until when the lane is held back.
    pub(crate) fn until(&self) -> Option<BootMicros> {
        self.host.max(self.receiver)
    }

    /// Returns the time of something that is due at `at`, but not before the hold ends.
    pub(crate) fn not_before(&self, at: BootMicros) -> BootMicros {
        self.until().map_or(at, |until| until.max(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_latest_request_counts_and_is_news_once() {
        let mut hold = Hold::default();
        assert!(hold.by_receiver(BootMicros(5 * SECOND)));
        assert!(!hold.by_receiver(BootMicros(5 * SECOND + SECOND / 2)), "the same wait");
        assert!(!hold.by_receiver(BootMicros(3 * SECOND)), "an earlier end");
        assert_eq!(hold.until(), Some(BootMicros(5 * SECOND + SECOND / 2)));
        assert!(hold.by_receiver(BootMicros(9 * SECOND)));
        assert_eq!(hold.not_before(BootMicros(SECOND)), BootMicros(9 * SECOND));
        assert_eq!(hold.not_before(BootMicros(10 * SECOND)), BootMicros(10 * SECOND));
    }

    #[test]
    fn lifting_leaves_the_hold_of_this_host() {
        let mut hold = Hold::default();
        hold.by_host(BootMicros(SECOND));
        assert!(!hold.lift(BootMicros(0)), "the receiver has asked for nothing");
        assert!(hold.by_receiver(BootMicros(SECOND + 1)), "a fault of this host hides no request");
        assert!(hold.lift(BootMicros(0)));
        assert_eq!(hold.until(), Some(BootMicros(SECOND)));
        hold.by_receiver(BootMicros(SECOND));
        assert!(!hold.lift(BootMicros(SECOND)), "it had ended");
    }
}
