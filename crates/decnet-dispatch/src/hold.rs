//! The time until which a lane sends nothing: no first attempts, no retries, no probes. Requests in flight continue.

use std::time::Duration;

use decnet_core::time::BootMicros;

/// Two waits that end within this time of each other count as one: requests that were in flight together get replies
/// that name about the same time.
const SAME_WAIT: Duration = Duration::from_secs(1);

/// The times before which a lane sends nothing, by cause. They may have passed.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    /// The end of the hold after this host could not send: the next request would fail in the same way.
    host: Option<BootMicros>,
    /// The end of the hold that the receiver's `Retry-After` requested.
    receiver: Option<BootMicros>,
}

impl Hold {
    /// Holds the lane after a fault of this host.
    pub(crate) fn set_by_host(&mut self, until: BootMicros) {
        self.host = Some(until);
    }

    /// Holds the lane at the receiver's request. The latest of several requests counts, which satisfies all of them.
    /// Returns whether this is a new wait and not the same wait in another reply.
    pub(crate) fn extend_by_receiver(&mut self, until: BootMicros) -> bool {
        let before = self.receiver;
        self.receiver = before.max(Some(until));
        before.is_none_or(|before| until.since(before) >= SAME_WAIT)
    }

    /// Drops the receiver's request. Returns whether it still applied at `now`.
    pub(crate) fn lift(&mut self, now: BootMicros) -> bool {
        self.receiver.take().is_some_and(|until| until > now)
    }

    /// Returns the time until which the lane is held.
    pub(crate) fn until(&self) -> Option<BootMicros> {
        self.host.max(self.receiver)
    }

    /// Returns `at`, or the end of the hold if that is later.
    pub(crate) fn not_before(&self, at: BootMicros) -> BootMicros {
        self.until().map_or(at, |until| until.max(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn latest_request_counts_and_is_new_once() {
        let mut hold = Hold::default();
        assert!(hold.extend_by_receiver(BootMicros(5 * SECOND)));
        assert!(!hold.extend_by_receiver(BootMicros(5 * SECOND + SECOND / 2)), "the same wait");
        assert!(!hold.extend_by_receiver(BootMicros(3 * SECOND)), "an earlier end");
        assert_eq!(hold.until(), Some(BootMicros(5 * SECOND + SECOND / 2)));
        assert!(hold.extend_by_receiver(BootMicros(9 * SECOND)));
        assert_eq!(hold.not_before(BootMicros(SECOND)), BootMicros(9 * SECOND));
        assert_eq!(hold.not_before(BootMicros(10 * SECOND)), BootMicros(10 * SECOND));
    }

    #[test]
    fn lifting_the_receivers_hold_keeps_the_hosts() {
        let mut hold = Hold::default();
        hold.set_by_host(BootMicros(SECOND));
        assert!(!hold.lift(BootMicros(0)), "the receiver has asked for nothing");
        assert!(hold.extend_by_receiver(BootMicros(SECOND + 1)), "a fault of this host hides no request");
        assert!(hold.lift(BootMicros(0)));
        assert_eq!(hold.until(), Some(BootMicros(SECOND)));
        hold.extend_by_receiver(BootMicros(SECOND));
        assert!(!hold.lift(BootMicros(SECOND)), "the wait is over");
    }
}
