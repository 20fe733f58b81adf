//! Events are routed by the subscriptions as they were when the events were published, or newer ones.
//!
//! Two streams bring events, and a change of the subscriptions has a place in each: the bus passes on a signal between
//! the events, and the queue counts changes in the order of its commits, among the events that are submitted to it. What
//! follows a change is *held* until a reload that began after that place has been applied. Then it is routed, in order.
//!
//! - A reload covers every change that was known when it began. While one runs another one is asked for at most, so
//!   that signals, however many, do not hold events for longer than two reloads take.
//! - What is held keeps its room: at its bound the intake leaves its socket unread.
//! - A reload that fails ends the hold, and so does [`MAX_CHANGE_HOLD`]: the subscriptions of the last load stay in force.

use decnet_core::limits::MAX_CHANGE_HOLD;
use decnet_store::queue::Taken;
use tokio::time::Instant;

use super::Dispatcher;
use crate::intake::{Batch, Mark};

/// Which changes the routes include, and what waits for newer ones.
#[derive(Debug, Default)]
pub(super) struct Freshness {
    /// The last change on the bus for which a reload was asked for.
    signalled: Mark,
    /// The last change on the bus that the running reload covers.
    reading: Mark,
    /// The last change on the bus that the routes include.
    pub(super) applied: Mark,
    /// The queue's count of changes that the routes include.
    changes: i64,
    /// The first batch from the bus that follows a newer change; the others wait in the channel behind it.
    batch: Option<Batch>,
    /// The piece of what was submitted that follows a newer change.
    piece: Option<Taken>,
    held_since: Option<Instant>,
    /// A hold took too long, and that was logged.
    is_overdue: bool,
}

impl Freshness {
    /// A reload begins.
    pub(super) fn begin(&mut self) {
        self.reading = self.signalled;
    }

    /// The reload that has ended decides over the routes from now on: it was applied, or has failed. `changes` is the
    /// queue's count when it began.
    pub(super) fn end(&mut self, changes: i64) {
        self.applied = self.applied.max(self.reading);
        self.changes = self.changes.max(changes);
        self.is_overdue = false;
    }

    /// Does the queue count changes that the routes lack?
    pub(super) fn lacks(&self, changes: i64) -> bool {
        changes > self.changes
    }

    pub(super) fn holds_batch(&self) -> bool {
        self.batch.is_some()
    }

    pub(super) fn holds(&self) -> bool {
        self.batch.is_some() || self.piece.is_some()
    }

    /// Gives up waiting: whatever is held may go.
    fn give_up(&mut self) {
        self.applied = self.applied.max(self.signalled);
        self.changes = self.changes.max(self.piece.as_ref().map_or(0, |piece| piece.changes));
    }

    fn hold(&mut self) {
        self.held_since.get_or_insert_with(Instant::now);
    }

    /// Takes out what is held and need not be any longer.
    fn take_fresh(&mut self) -> (Option<Batch>, Option<Taken>) {
        let (applied, changes) = (self.applied, self.changes);
        let batch = self.batch.take_if(|batch| batch.after <= applied);
        let piece = self.piece.take_if(|piece| piece.changes <= changes);
        if !self.holds() {
            self.held_since = None;
        }
        (batch, piece)
    }
}

impl Dispatcher {
    /// The subscriptions have changed, and the signal was read from the bus before this place.
    pub(super) fn changed_before(&mut self, place: Mark) {
        if place > self.freshness.signalled {
            self.freshness.signalled = place;
            self.reload();
        }
    }

    /// Admits a batch, or holds it until the changes before it are applied.
    pub(super) fn admit_or_hold(&mut self, batch: Batch) {
        if batch.after <= self.freshness.applied {
            return self.admit(batch);
        }
        self.changed_before(batch.after);
        self.freshness.batch = Some(batch);
        self.freshness.hold();
    }

    /// The same for a piece of what was submitted; false if it is to be admitted now.
    pub(super) fn holds_piece(&mut self, piece: Taken) -> Option<Taken> {
        if piece.events.is_empty() || !self.freshness.lacks(piece.changes) {
            return Some(piece);
        }
        self.freshness.piece = Some(piece);
        self.freshness.hold();
        self.reload_unless_running();
        None
    }

    /// Admits what was held for a reload that has ended.
    pub(super) fn admit_held(&mut self) {
        let (batch, piece) = self.freshness.take_fresh();
        batch.into_iter().for_each(|batch| self.admit(batch));
        piece.into_iter().for_each(|piece| self.admit_piece(piece));
    }

    /// Routes what is held by the subscriptions that are loaded, whatever has changed since.
    pub(super) fn give_up_holding(&mut self) {
        self.freshness.give_up();
        self.admit_held();
    }

    /// Once a second: a catalog that cannot be read must not hold events for ever.
    pub(super) fn end_overdue_hold(&mut self) {
        let held_for = self.freshness.held_since.map(|since| since.elapsed());
        if held_for.is_none_or(|held_for| held_for < MAX_CHANGE_HOLD) {
            return;
        }
        if !std::mem::replace(&mut self.freshness.is_overdue, true) {
            tracing::warn!(
                ?held_for,
                "the subscriptions have changed and cannot be read; new events are routed by those already loaded \
                 until they can"
            );
        }
        self.give_up_holding();
    }

    /// At the end: what was submitted and is not admitted yet stays in the queue.
    pub(super) fn put_back_piece(&mut self) {
        self.freshness.piece = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::*;

    fn batch(after: u64) -> Batch {
        Batch { events: Vec::new(), after: Mark(after), _room: None }
    }

    #[test]
    fn a_reload_covers_the_changes_before_its_begin() {
        let mut freshness = Freshness { signalled: Mark(3), ..Freshness::default() };
        freshness.begin();
        freshness.signalled = Mark(7);
        freshness.batch = Some(batch(5));
        freshness.end(0);
        assert_eq!(freshness.applied, Mark(3));
        assert!(freshness.take_fresh().0.is_none());
        freshness.begin();
        freshness.end(0);
        assert!(freshness.take_fresh().0.is_some() && !freshness.holds());
    }

    #[test]
    fn the_queue_counts_its_changes_apart_from_the_bus() {
        let piece = |changes| Taken { changes, ..Taken::default() };
        let mut freshness = Freshness { signalled: Mark(1), batch: Some(batch(1)), ..Freshness::default() };
        freshness.piece = Some(piece(2));
        freshness.end(2);
        let (batch, piece) = freshness.take_fresh();
        assert!(batch.is_none() && piece.is_some() && freshness.holds());
        freshness.end(1);
        assert!(!freshness.lacks(2) && freshness.lacks(3), "a count never runs backwards");
    }

    #[test]
    fn what_is_held_keeps_its_room() {
        let room = Arc::new(Semaphore::new(10));
        let permit = Arc::clone(&room).try_acquire_many_owned(10).unwrap();
        let batch = Batch { events: Vec::new(), after: Mark(1), _room: Some(permit) };
        let mut freshness = Freshness { signalled: Mark(1), batch: Some(batch), ..Freshness::default() };
        assert!(freshness.take_fresh().0.is_none());
        assert_eq!(room.available_permits(), 0, "the intake reads no more");
        freshness.begin();
        freshness.end(0);
        drop(freshness.take_fresh());
        assert_eq!(room.available_permits(), 10);
    }

    #[test]
    fn giving_up_lets_everything_go() {
        let mut freshness = Freshness { signalled: Mark(4), batch: Some(batch(4)), ..Freshness::default() };
        freshness.piece = Some(Taken { changes: 9, ..Taken::default() });
        freshness.give_up();
        let (batch, piece) = freshness.take_fresh();
        assert!(batch.is_some() && piece.is_some() && !freshness.holds());
    }
}
