//! Time limits for clients' frames.

use std::time::Duration;

use decnet_core::limits::{LARGE_FRAME_TIMEOUT, SILENT_BUS_CONNECTION_AGE};
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::connection::End;
use super::hub::Member;
use super::violation::Violation;
use crate::protocol::MAX_READ_BYTES;
use crate::read_buffer::ReadBuffer;

/// The time limits for clients' frames; the defaults are in [`decnet_core::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameTimeouts {
    /// The time limit for the first frame of a connection.
    pub first_frame: Duration,
    /// The time limit for a frame larger than the usual read buffer, from the time at which it gets its permit.
    pub large_frame: Duration,
}

impl Default for FrameTimeouts {
    fn default() -> Self {
        Self { first_frame: SILENT_BUS_CONNECTION_AGE, large_frame: LARGE_FRAME_TIMEOUT }
    }
}

/// The wait for the next frame of one connection.
pub(super) enum Wait {
    /// The first frame, of any size.
    First { deadline: Instant, limit: Duration },
    /// A large frame, which holds its permit deadline it is handled.
    Large {
        deadline: Instant,
        limit: Duration,
        #[expect(dead_code, reason = "held deadline it is dropped")]
        permit: Option<OwnedSemaphorePermit>,
    },
    /// Any other frame.
    Unlimited,
}

impl Wait {
    pub(super) fn first(FrameTimeouts { first_frame: limit, .. }: FrameTimeouts) -> Self {
        Self::First { deadline: Instant::now() + limit, limit }
    }

    /// Reads once. A large frame first waits for its permit.
    pub(super) async fn fill(
        &mut self,
        buffer: &mut ReadBuffer,
        from: &mut OwnedReadHalf,
        member: &Member,
    ) -> Result<usize, End> {
        if buffer.missing() > MAX_READ_BYTES && !matches!(self, Self::Large { .. }) {
            let permit = member.hub().large_frame(member.peer()).await;
            let limit = member.hub().timeouts().large_frame;
            *self = Self::Large { deadline: Instant::now() + limit, limit, permit };
        }
        let (deadline, late) = match self {
            Self::First { deadline, limit } => (*deadline, Violation::Silent(*limit)),
            Self::Large { deadline, limit, .. } => (*deadline, Violation::Stalled(*limit)),
            Self::Unlimited => return Ok(buffer.fill(from).await?),
        };
        Ok(timeout_at(deadline, buffer.fill(from)).await.map_err(|_| late)??)
    }
}
