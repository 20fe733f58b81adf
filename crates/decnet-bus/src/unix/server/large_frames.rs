//! Frames that do not fit the usual read buffer: few are read at a time, so that they cannot fill memory.

use std::sync::Arc;

use decnet_core::limits::MAX_LARGE_FRAMES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Peer;

/// Room for frames larger than [`MAX_READ_BYTES`](crate::unix::codec::MAX_READ_BYTES); half of it for trusted users.
#[derive(Debug)]
pub(super) struct LargeFrames {
    trusted: Arc<Semaphore>,
    others: Arc<Semaphore>,
}

impl LargeFrames {
    pub(super) fn new() -> Self {
        let half = || Arc::new(Semaphore::new(MAX_LARGE_FRAMES / 2));
        Self { trusted: half(), others: half() }
    }

    /// Waits for room for one frame, first come, first served. `None` only if the semaphore were closed, which it is not.
    pub(super) async fn room(&self, peer: Peer) -> Option<OwnedSemaphorePermit> {
        let room = if peer.is_trusted { &self.trusted } else { &self.others };
        Arc::clone(room).acquire_owned().await.ok()
    }
}
