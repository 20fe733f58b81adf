//! Time limits for clients' frames.

use std::time::Duration;

use decnet_core::limits::{BUS_FIRST_FRAME_TIMEOUT, LARGE_FRAME_TIMEOUT};
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
        Self { first_frame: BUS_FIRST_FRAME_TIMEOUT, large_frame: LARGE_FRAME_TIMEOUT }
    }
}

/// A deadline, its time limit, and the violation of exceeding the limit.
type Limit = (Instant, Duration, fn(Duration) -> Violation);

/// The wait for the next frame of one connection; the default is unlimited.
#[derive(Default)]
pub(super) struct Wait {
    limit: Option<Limit>,
    /// The permit of a large frame, held until the frame is handled.
    permit: Option<OwnedSemaphorePermit>,
}

impl Wait {
    /// Returns the wait for the first frame, of any size.
    pub(super) fn first(FrameTimeouts { first_frame: limit, .. }: FrameTimeouts) -> Self {
        Self { limit: Some((Instant::now() + limit, limit, Violation::Silent)), permit: None }
    }

    /// Reads once. A large frame first waits for its permit.
    pub(super) async fn fill(
        &mut self,
        buffer: &mut ReadBuffer,
        from: &mut OwnedReadHalf,
        member: &Member,
    ) -> Result<usize, End> {
        if buffer.missing() > MAX_READ_BYTES && self.permit.is_none() {
            self.permit = member.hub.large_frames.acquire(member.peer).await;
            let limit = member.hub.timeouts.large_frame;
            self.limit = Some((Instant::now() + limit, limit, Violation::Stalled));
        }
        let Some((deadline, limit, late)) = self.limit else { return Ok(buffer.fill(from).await?) };
        Ok(timeout_at(deadline, buffer.fill(from)).await.map_err(|_| late(limit))??)
    }
}
