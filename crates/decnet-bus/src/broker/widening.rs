//! Widening: lossless readers get every event until they have applied a change of the subscriptions.
//!
//! A worker subscribes to the topics that its subscriptions request. An event that follows a change, and that only the
//! changed subscription requests, would be missed until the worker has read the change and subscribed again. So the bus
//! *widens* a reader when it delivers the change signal to it. From this position in its stream the reader gets every
//! event, until it reports with [`Applied`] that it has applied the change. This also holds for a disconnected reader
//! whose session is retained, and for its successor.
//!
//! - Only a reader that claims to be lossless and subscribes to [`APPLIED_TOPIC`] is widened: others would never report.
//!   It is widened even if it gets an ordinary queue, so that the worker misses nothing as long as the queue is not full.
//! - A report covers the changes whose signals the reader had received by then. A signal that is still in its queue keeps
//!   the reader widened.
//! - A reader is widened from its subscription to that topic on, since it may have missed a signal before.
//! - The queue of a widened reader has the usual bounds and the usual backpressure.

use decnet_core::topic::own::APPLIED_TOPIC;

use super::hub::State;
use super::routes::Slot;
use crate::applied::Applied;

/// The widened readers, each with the position of the newest change signal in its stream; see
/// [`Outbound::position`](super::outbound::Outbound::position).
#[derive(Debug, Default)]
pub(super) struct Widened(Vec<(Slot, u64)>);

/// The newest change signal of a disconnected reader, for its successor.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingChange {
    /// The number of events that were added after the signal.
    events_after: u64,
}

impl Widened {
    /// Adds the widened readers to the recipients of an event.
    pub(super) fn add_to(&self, recipients: &mut Vec<Slot>) {
        for (slot, _) in &self.0 {
            if !recipients.contains(slot) {
                recipients.push(*slot);
            }
        }
    }

    fn find(&self, slot: Slot) -> Option<u64> {
        self.0.iter().find(|(widened, _)| *widened == slot).map(|(_, position)| *position)
    }

    fn insert(&mut self, slot: Slot, position: u64) {
        self.remove(slot);
        self.0.push((slot, position));
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        self.0.retain(|(widened, _)| *widened != slot);
    }
}

impl State {
    /// Widens a reader that has just subscribed to [`APPLIED_TOPIC`].
    pub(super) fn widen_on_subscribe(&mut self, slot: Slot, pattern: &str) {
        if pattern == APPLIED_TOPIC
            && self.reader_mut(slot).claims_lossless
            && self.widened.find(slot).is_none()
        {
            self.widened.insert(slot, 0);
        }
    }

    /// Widens the readers that have just been sent a change signal.
    pub(super) fn widen_recipients(&mut self) {
        for slot in std::mem::take(&mut self.recipients) {
            let reader = self.reader_mut(slot);
            let position = reader.outbound.position();
            if reader.claims_lossless && self.routes.holds(slot, APPLIED_TOPIC) {
                self.widened.insert(slot, position);
            }
        }
    }

    /// Handles the report of a reader. Returns false if `payload` is not a report, or its publisher may not report.
    pub(super) fn handle_report(&mut self, from: Slot, payload: &str) -> bool {
        let reader = self.reader_mut(from);
        if !reader.claims_lossless {
            return false;
        }
        let Ok(Applied { received }) = serde_json::from_str(payload) else { return false };
        let passed = reader.outbound.position_after(received);
        if self.widened.find(from).is_some_and(|position| position <= passed) {
            self.widened.remove(from);
        }
        self.routes.holds(from, APPLIED_TOPIC)
    }

    /// Ends the widening of a reader that no longer subscribes to [`APPLIED_TOPIC`].
    pub(super) fn narrow_unless_subscribed(&mut self, slot: Slot) {
        if !self.routes.holds(slot, APPLIED_TOPIC) {
            self.widened.remove(slot);
        }
    }

    /// Ends the widening of a disconnected reader and returns its pending change for the successor. Call it before the queue
    /// is emptied.
    pub(super) fn take_pending_change(&mut self, slot: Slot) -> Option<PendingChange> {
        let position = self.widened.find(slot)?;
        self.widened.remove(slot);
        let events_after = self.reader_mut(slot).outbound.position().saturating_sub(position);
        Some(PendingChange { events_after })
    }

    /// Widens a successor whose stream begins with `kept` events. A signal that is not among them was lost with the
    /// predecessor's connection.
    pub(super) fn widen_successor(&mut self, successor: Slot, change: PendingChange, kept: usize) {
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.widened.insert(successor, kept.saturating_sub(change.events_after));
    }
}
