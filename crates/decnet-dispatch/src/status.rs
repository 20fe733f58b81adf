//! May a lane send, and how that is shown.

use decnet_core::subscription::Activity;
use decnet_core::time::BootMicros;
use decnet_store::catalog::Stored;

use crate::shown::Standing;

/// May the lane send?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Yes.
    Open,
    /// The circuit tripped; a probe goes out from time to time.
    Tripped {
        /// Probes that failed.
        probes: u32,
        /// When the next one may go.
        next_at: BootMicros,
        /// One is under way.
        probing: bool,
    },
    /// The receiver answered 410: only an operator re-opens it.
    Gone,
    /// An operator's wish.
    Disabled,
    /// The row is no more; the lane goes as soon as nothing of it is under way.
    Deleted,
}

impl Status {
    /// What a row says; a tripped one may be probed from `probe_at`.
    pub(crate) fn of(stored: &Stored, probe_at: BootMicros) -> Self {
        match stored.subscription.activity {
            Activity::Active => Self::Open,
            Activity::Disabled => Self::Disabled,
            Activity::Tripped if stored.gone => Self::Gone,
            Activity::Tripped => Self::Tripped { probes: 0, next_at: probe_at, probing: false },
        }
    }

    /// As it is shown, where an operator has perhaps paused it besides.
    pub(crate) fn standing(self, paused: bool) -> Standing {
        match self {
            Self::Open if paused => Standing::Paused,
            Self::Open => Standing::Open,
            Self::Tripped { .. } => Standing::Tripped,
            Self::Gone => Standing::Gone,
            Self::Disabled | Self::Deleted => Standing::Disabled,
        }
    }

    /// Does a row with the other status say the same?
    pub(crate) fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}
