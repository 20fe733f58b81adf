//! A publisher that is left unread for a while.

use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout_at};

/// How long the frame at the front has waited, against how long it may.
#[derive(Debug)]
pub(super) struct Pause {
    limit: Duration,
    until: Option<Instant>,
}

impl Pause {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, until: None }
    }

    /// Has the frame waited for as long as it may?
    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// The frame has been obeyed.
    pub(super) fn end(&mut self) {
        self.until = None;
    }

    /// Waits for a change, no longer than the frame may.
    pub(super) async fn wait(&mut self, change: OwnedNotified) {
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.limit);
        let changed = timeout_at(until, change).await;
        tracing::trace!(in_time = changed.is_ok(), "a publisher has waited for room");
    }
}
