//! Backpressure: a publisher whose socket is not read until a reader has room.

use std::time::Duration;

use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, timeout_at};

/// The time limit for the publisher's first unread frame.
#[derive(Debug)]
pub(super) struct Backpressure {
    limit: Duration,
    deadline: Option<Instant>,
}

impl Backpressure {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, deadline: None }
    }

    /// Returns whether the frame has waited for the maximum time.
    pub(super) fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Resets the limit once the frame is handled.
    pub(super) fn reset(&mut self) {
        self.deadline = None;
    }

    /// Waits for a change, at most until the frame's deadline.
    pub(super) async fn wait(&mut self, change: OwnedNotified) {
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + self.limit);
        let changed = timeout_at(deadline, change).await;
        tracing::trace!(in_time = changed.is_ok(), "a publisher waited for room");
    }
}
