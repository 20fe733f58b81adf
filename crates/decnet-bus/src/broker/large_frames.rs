//! The limit on concurrently read large frames, which bounds their memory.

use std::sync::Arc;

use decnet_core::limits::MAX_LARGE_FRAMES;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::peer::Peer;

/// Permits for frames larger than [`MAX_READ_BYTES`](crate::protocol::MAX_READ_BYTES); half of them for trusted users.
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

    /// Waits for a permit for one frame, in order of arrival. Returns `None` only if the semaphore is closed, which never
    /// happens.
    pub(super) async fn acquire(&self, peer: Peer) -> Option<OwnedSemaphorePermit> {
        let permits = if peer.is_trusted { &self.trusted } else { &self.others };
        Arc::clone(permits).acquire_owned().await.ok()
    }
}
