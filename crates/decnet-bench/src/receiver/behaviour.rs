//! The behaviour that the first segment of a path selects.

/// The reaction to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Counts the request and replies with 200.
    Count,
    /// Counts the request, records its latency and replies with 200.
    Time,
    /// Like [`Self::Time`], and records the time of the first request with this number.
    Mark(u32),
    /// Never replies.
    Hang,
    /// Replies with 200 and an endless body of one byte per second.
    Drip,
    /// Replies with 503.
    Busy,
    /// Replies when the gate is open.
    Gate,
}

impl Behaviour {
    pub(super) fn of(path: &str) -> Self {
        let mut parts = path.trim_start_matches('/').split('/');
        match parts.next() {
            Some("timed") => Self::Time,
            Some("mark") => parts.next().and_then(|n| n.parse().ok()).map_or(Self::Time, Self::Mark),
            Some("hang") => Self::Hang,
            Some("drip") => Self::Drip,
            Some("busy") => Self::Busy,
            Some("gate") => Self::Gate,
            _ => Self::Count,
        }
    }

    /// Returns whether the body contains a time from which the latency is computed.
    pub(super) fn is_timed(self) -> bool {
        matches!(self, Self::Time | Self::Mark(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_selects_the_behaviour() {
        for (path, expected) in [
            ("/to/3", Behaviour::Count),
            ("/", Behaviour::Count),
            ("/timed/1", Behaviour::Time),
            ("/mark/7", Behaviour::Mark(7)),
            ("/hang/0", Behaviour::Hang),
            ("/drip/0", Behaviour::Drip),
            ("/busy", Behaviour::Busy),
            ("/gate/0", Behaviour::Gate),
        ] {
            assert_eq!(Behaviour::of(path), expected, "{path}");
        }
    }
}
