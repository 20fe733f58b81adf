//! Violations of the protocol.

use std::time::Duration;

use super::routes::TooManyPatterns;
use crate::protocol::{BodyError, FrameError, Verb};

/// The violation of the protocol for which the bus closes a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Violation {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Body(#[from] BodyError),
    #[error("{} without an argument", .0.as_str())]
    NoArgument(Verb),
    #[error("EVT sent by a client")]
    Event,
    #[error(transparent)]
    TooManyPatterns(#[from] TooManyPatterns),
    #[error("no frame within {0:?} of connecting")]
    Silent(Duration),
    #[error("large frame not complete within {0:?}")]
    Stalled(Duration),
    #[error("the stream ended within a frame")]
    Truncated,
}
