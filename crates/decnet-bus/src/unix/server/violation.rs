//! The ways in which a client can break the protocol.

use std::time::Duration;

use super::routes::TooManyPatterns;
use crate::unix::codec::{BodyError, FrameError, Verb};

/// Why the bus closes a connection: its client breaks the protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{} without an argument", .0.as_str())]
    NoArgument(Verb),
    #[error("EVT comes from the bus only")]
    Event,
    #[error("more patterns than this connection, or this user, may have")]
    TooManyPatterns,
    #[error("no frame within {0:?} of connecting")]
    Silent(Duration),
    #[error("a large frame that did not arrive within {0:?}")]
    Stalled(Duration),
    #[error("the stream ends within a frame")]
    Truncated,
}

impl From<TooManyPatterns> for Violation {
    fn from(_: TooManyPatterns) -> Self {
        Self::TooManyPatterns
    }
}
