//! Each event is routed by the subscriptions as they were when the event was published, or by newer subscriptions.
//!
//! Two streams bring events, and a change of the subscriptions has a position in each: the bus delivers a signal between
//! the events, and the queue counts changes in the order of its commits, which include submitted events. Events behind a
//! change are *held* until a reload that started after it has been applied. Then they are routed, in order.
//!
//! - A reload covers every change that was known when it started. While a reload runs, at most one more reload is requested,
//!   so that any number of signals holds events for at most two reloads.
//! - Held events keep their permits: at the bound the intake stops reading from its socket.
//! - A reload that fails ends the hold, and so does [`MAX_RELOAD_HOLD`]: the worker continues with the subscriptions of the last load.

use decnet_core::limits::MAX_RELOAD_HOLD;
use decnet_store::queue::SubmittedEvents;
use tokio::time::Instant;

use super::Dispatcher;
use crate::intake::{BusOffset, IncomingBatch};

/// The changes that the routing table includes, and the events that wait for newer changes.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// The last change on the bus for which a reload was requested.
    signalled: BusOffset,
    /// The last change on the bus that the running reload covers.
    reloading: BusOffset,
    /// The last change on the bus that the routing table includes.
    pub(super) applied: BusOffset,
    /// The value of the queue's change counter up to which the routing table includes all changes.
    changes: i64,
    /// The first batch from the bus behind a newer change. The other batches wait in the channel behind it.
    batch: Option<IncomingBatch>,
    /// The submitted events behind a newer change.
    submitted: Option<SubmittedEvents>,
    held_since: Option<Instant>,
    /// Whether it was logged that a hold took too long.
    is_overdue_logged: bool,
}

impl Freshness {
    pub(super) fn start_reload(&mut self) {
        self.reloading = self.signalled;
    }

    /// Ends a reload that was applied or has failed: events no longer wait for the changes that it covers. `changes` is the
    /// queue's count when it started.
    pub(super) fn finish_reload(&mut self, changes: i64) {
        self.applied = self.applied.max(self.reloading);
        self.changes = self.changes.max(changes);
        self.is_overdue_logged = false;
    }

    /// Returns whether the routing table lacks some of the `changes` that the queue has counted.
    pub(super) fn lacks(&self, changes: i64) -> bool {
        changes > self.changes
    }

    pub(super) fn holds_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// Returns whether any events are held.
    pub(super) fn is_holding(&self) -> bool {
        self.batch.is_some() || self.submitted.is_some()
    }

    /// Treats the changes before the held events as applied.
    fn stop_waiting(&mut self) {
        self.applied = self.applied.max(self.signalled);
        self.changes = self.changes.max(self.submitted.as_ref().map_or(0, |piece| piece.changes));
    }

    /// Removes and returns the held events whose changes are applied.
    fn take_fresh(&mut self) -> (Option<IncomingBatch>, Option<SubmittedEvents>) {
        let (applied, changes) = (self.applied, self.changes);
        let batch = self.batch.take_if(|batch| batch.after <= applied);
        let submitted = self.submitted.take_if(|piece| piece.changes <= changes);
        if !self.is_holding() {
            self.held_since = None;
        }
        (batch, submitted)
    }
}

impl Dispatcher {
    /// Reloads the subscriptions, unless this was done for a change at or behind `offset`. The signal of the change was
    /// read from the bus before `offset`.
    pub(super) fn on_change_before(&mut self, offset: BusOffset) {
        if offset > self.freshness.signalled {
            self.freshness.signalled = offset;
            self.reload();
        }
    }

    /// Admits a batch, or holds it until the changes before it are applied.
    pub(super) fn admit_or_hold(&mut self, batch: IncomingBatch) {
        if batch.after <= self.freshness.applied {
            return self.admit(batch);
        }
        self.on_change_before(batch.after);
        self.freshness.batch = Some(batch);
        self.freshness.held_since.get_or_insert_with(Instant::now);
    }

    /// Holds submitted events until the changes before them are applied. Returns them if they can be admitted now.
    pub(super) fn hold_if_stale(&mut self, piece: SubmittedEvents) -> Option<SubmittedEvents> {
        if piece.events.is_empty() || !self.freshness.lacks(piece.changes) {
            return Some(piece);
        }
        self.freshness.submitted = Some(piece);
        self.freshness.held_since.get_or_insert_with(Instant::now);
        self.reload_unless_running();
        None
    }

    /// Admits the held events whose changes are applied.
    pub(super) fn admit_held(&mut self) {
        let (batch, submitted) = self.freshness.take_fresh();
        batch.into_iter().for_each(|batch| self.admit(batch));
        submitted.into_iter().for_each(|piece| self.admit_submitted(piece));
    }

    /// Routes all held events by the subscriptions that are loaded.
    pub(super) fn release_held(&mut self) {
        self.freshness.stop_waiting();
        self.admit_held();
    }

    /// Releases events that have been held for too long, so that a catalog that cannot be read does not hold them forever.
    pub(super) fn end_overdue_hold(&mut self) {
        let held_for = self.freshness.held_since.map(|since| since.elapsed());
        if held_for.is_none_or(|held_for| held_for < MAX_RELOAD_HOLD) {
            return;
        }
        if !std::mem::replace(&mut self.freshness.is_overdue_logged, true) {
            tracing::warn!(
                ?held_for,
                "cannot read the changed subscriptions; until they can be read, events are routed by the subscriptions \
                 loaded before"
            );
        }
        self.release_held();
    }

    /// Drops the held submitted events at the shutdown; they are still in the queue.
    pub(super) fn drop_held_submissions(&mut self) {
        self.freshness.submitted = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn batch(after: u64) -> IncomingBatch {
        IncomingBatch { events: Vec::new(), after: BusOffset(after), _permit: None }
    }

    fn submitted(changes: i64) -> SubmittedEvents {
        SubmittedEvents { changes, ..SubmittedEvents::default() }
    }

    #[test]
    fn reload_covers_the_changes_before_its_start() {
        let mut freshness = Freshness { signalled: BusOffset(3), ..Freshness::default() };
        freshness.start_reload();
        freshness.signalled = BusOffset(7);
        freshness.batch = Some(batch(5));
        freshness.finish_reload(0);
        assert_eq!(freshness.applied, BusOffset(3));
        assert!(freshness.take_fresh().0.is_none());
        freshness.start_reload();
        freshness.finish_reload(0);
        assert!(freshness.take_fresh().0.is_some() && !freshness.is_holding());
    }

    #[test]
    fn changes_in_the_queue_are_counted_apart_from_the_bus() {
        let mut freshness =
            Freshness { signalled: BusOffset(1), batch: Some(batch(1)), ..Freshness::default() };
        freshness.submitted = Some(submitted(2));
        freshness.finish_reload(2);
        let (batch, submitted) = freshness.take_fresh();
        assert!(batch.is_none() && submitted.is_some() && freshness.is_holding());
        freshness.finish_reload(1);
        assert!(!freshness.lacks(2) && freshness.lacks(3), "the count never decreases");
    }

    #[test]
    fn held_batch_keeps_its_permit() {
        let limit = Arc::new(Semaphore::new(10));
        let permit = Arc::clone(&limit).try_acquire_many_owned(10).unwrap();
        let batch = IncomingBatch { events: Vec::new(), after: BusOffset(1), _permit: Some(permit) };
        let mut freshness = Freshness { signalled: BusOffset(1), batch: Some(batch), ..Freshness::default() };
        assert!(freshness.take_fresh().0.is_none());
        assert_eq!(limit.available_permits(), 0, "the intake cannot read more");
        freshness.start_reload();
        freshness.finish_reload(0);
        drop(freshness.take_fresh());
        assert_eq!(limit.available_permits(), 10);
    }

    #[test]
    fn all_events_are_released_when_waiting_stops() {
        let mut freshness =
            Freshness { signalled: BusOffset(4), batch: Some(batch(4)), ..Freshness::default() };
        freshness.submitted = Some(submitted(9));
        freshness.stop_waiting();
        let (batch, submitted) = freshness.take_fresh();
        assert!(batch.is_some() && submitted.is_some() && !freshness.is_holding());
    }
}
