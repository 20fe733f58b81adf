//! What the first part of a path asks for.

/// What to do with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Count it, answer 200.
    Count,
    /// The same, and note how late it is.
    Time,
    /// The same, and note when the first one with this number came.
    Mark(u32),
    /// Never answer.
    Hang,
    /// Answer 200 with a body of a byte a second, without end.
    Drip,
    /// Answer 503.
    Busy,
    /// Answer when the gate is open.
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

    /// Is the time in the body of interest?
    pub(super) fn is_timed(self) -> bool {
        matches!(self, Self::Time | Self::Mark(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_what_it_wants() {
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
