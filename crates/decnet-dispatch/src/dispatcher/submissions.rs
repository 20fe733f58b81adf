//! Events that other processes and threads have submitted: read from the queue, routed and admitted in batches.
//!
//! Batches are processed one at a time, which keeps the order and bounds the memory. While too many rows wait to be
//! committed, the next batch is not read. Events that are read and not yet admitted are still in the queue.

use decnet_store::queue::SubmittedEvents;

use super::Dispatcher;
use super::admission::Provenance;
use super::writes::WriteResult;

/// The progress of the current batch of submitted events.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    /// Whether a batch is being read, or waits until the subscriptions are reloaded.
    is_reading: bool,
    /// The number of commits of the last batch that are under way.
    pub(super) commits: usize,
    /// Whether there may be more events to read.
    is_requested: bool,
}

impl Dispatcher {
    /// Starts reading submitted events, because there may be some.
    pub(super) fn take_submitted(&mut self) {
        self.submissions.is_requested = true;
        self.take_submitted_if_requested();
    }

    pub(super) fn take_submitted_if_requested(&mut self) {
        let Submissions { is_reading, commits, is_requested } = self.submissions;
        let is_busy = is_reading || commits > 0 || self.writes.is_admission_full();
        if !is_requested || is_busy || self.is_stopping {
            return;
        }
        self.submissions = Submissions { is_reading: true, ..Submissions::default() };
        self.spawn_write(async |queue| queue.next_submitted().await, WriteResult::Submitted);
    }

    pub(super) fn on_submitted(&mut self, piece: SubmittedEvents) {
        if self.is_stopping {
            return;
        }
        if let Some(piece) = self.hold_if_stale(piece) {
            self.admit_submitted(piece);
        }
    }

    /// Routes and admits a batch. The changes of the subscriptions before it are already applied.
    pub(super) fn admit_submitted(&mut self, piece: SubmittedEvents) {
        self.submissions.is_reading = false;
        self.submissions.is_requested |= piece.more;
        self.stats.received.add(piece.events.len() as u64);
        let events = piece.events.into_iter().map(|(id, event)| (Some(id), event));
        self.submissions.commits = self.admit_from(events, &Provenance::Submitted);
        self.take_submitted_if_requested();
    }
}
