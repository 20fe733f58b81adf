//! How long a client may take over a frame.

use std::time::Duration;

use decnet_core::limits::{LARGE_FRAME_TIMEOUT, SILENT_BUS_CONNECTION_AGE};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::connection::End;
use super::hub::Member;
use super::violation::Violation;
use crate::unix::codec::MAX_READ_BYTES;
use crate::unix::read_buffer::ReadBuffer;

/// How long a bus waits for its clients' frames; the defaults stand in [`decnet_core::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTimeouts {
    /// For the first frame of a connection.
    pub first_frame: Duration,
    /// For a frame that is larger than the usual read buffer, from the time at which there is room for it.
    pub large_frame: Duration,
}

impl Default for FrameTimeouts {
    fn default() -> Self {
        Self { first_frame: SILENT_BUS_CONNECTION_AGE, large_frame: LARGE_FRAME_TIMEOUT }
    }
}

/// The wait for the next frame of one connection.
pub(super) enum Wait {
    /// The first one, whatever its size.
    First { until: Instant, longest: Duration },
    /// One that has room among the large frames until it is obeyed.
    Large {
        until: Instant,
        longest: Duration,
        #[expect(dead_code, reason = "held until it is dropped")]
        room: Option<OwnedSemaphorePermit>,
    },
    /// Any other.
    Unlimited,
}

impl Wait {
    pub(super) fn first(FrameTimeouts { first_frame: longest, .. }: FrameTimeouts) -> Self {
        Self::First { until: Instant::now() + longest, longest }
    }

    /// Reads once, after there is room for the frame that has begun.
    pub(super) async fn fill(
        &mut self,
        buffer: &mut ReadBuffer,
        from: &mut OwnedReadHalf,
        member: &Member,
    ) -> Result<usize, End> {
        if buffer.missing() > MAX_READ_BYTES && !matches!(self, Self::Large { .. }) {
            let room = member.hub().large_frame(member.peer()).await;
            let longest = member.hub().timeouts().large_frame;
            *self = Self::Large { until: Instant::now() + longest, longest, room };
        }
        let (until, late) = match self {
            Self::First { until, longest } => (*until, Violation::Silent(*longest)),
            Self::Large { until, longest, .. } => (*until, Violation::Stalled(*longest)),
            Self::Unlimited => return Ok(buffer.fill(from).await?),
        };
        Ok(timeout_at(until, buffer.fill(from)).await.map_err(|_| late)??)
    }
}
