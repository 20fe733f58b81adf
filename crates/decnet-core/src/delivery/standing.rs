//! Where a delivery stands, as an operator sees it.

use super::State;

/// The state of a delivery, with what its subscription says of it: one that waits for a subscription which gets
/// nothing now is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Not yet attempted.
    Pending,
    /// Waits for its next attempt.
    Retrying,
    /// Waits for its subscription to be enabled, or to recover.
    Parked,
    /// A 2xx came back.
    Delivered,
    /// Given up.
    Dead,
}

/// A text that names no standing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is pending, retrying, parked, delivered or dead, not `{0}`")]
pub struct ParseStandingError(String);

impl Standing {
    /// Each of them, in the order of a delivery's life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Retrying, Self::Parked, Self::Delivered, Self::Dead];

    /// Of a delivery in this state; `is_active` says whether its subscription gets events now.
    #[must_use]
    pub fn new(state: State, is_active: bool) -> Self {
        match state {
            State::Delivered => Self::Delivered,
            State::Dead { .. } => Self::Dead,
            State::Pending | State::Retrying { .. } if !is_active => Self::Parked,
            State::Pending => Self::Pending,
            State::Retrying { .. } => Self::Retrying,
        }
    }

    /// As it is shown and asked for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Retrying => "retrying",
            Self::Parked => "parked",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    /// Does nothing follow it by itself?
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Dead)
    }
}

impl std::fmt::Display for Standing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Standing {
    type Err = ParseStandingError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|standing| standing.as_str() == text);
        found.ok_or_else(|| ParseStandingError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Reason;
    use crate::time::UnixMicros;

    #[test]
    fn only_what_waits_can_be_parked() {
        let retrying = State::Retrying { due_at: UnixMicros(1) };
        let dead = State::Dead { reason: Reason::Refused };
        for (state, active, inactive) in [
            (State::Pending, Standing::Pending, Standing::Parked),
            (retrying, Standing::Retrying, Standing::Parked),
            (State::Delivered, Standing::Delivered, Standing::Delivered),
            (dead, Standing::Dead, Standing::Dead),
        ] {
            assert_eq!((Standing::new(state, true), Standing::new(state, false)), (active, inactive));
        }
    }

    #[test]
    fn names_read_back() {
        for standing in Standing::ALL {
            assert_eq!(standing.as_str().parse(), Ok(standing));
        }
        assert!("open".parse::<Standing>().is_err());
    }
}
