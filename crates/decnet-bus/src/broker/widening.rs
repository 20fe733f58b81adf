//! Widening: lossless readers get every event until they have applied a change of the subscriptions.
//!
//! A worker subscribes to the topics that its subscriptions request. An event that follows a change, and that only the
//! changed subscription requests, would be missed until the worker has read the change and subscribed again. So the bus
//! *widens* a reader when it delivers the change signal to it. From this position in its stream the reader gets every
//! event, until it reports with [`Applied`] that it has applied the change. This also holds for a disconnected reader
//! whose session is retained, and for its successor.
//!
//! - Only a reader that claims to be lossless and subscribes to [`APPLIED_TOPIC`] is widened: other readers would never report.
//!   It is widened even if it gets an ordinary queue, so that the worker misses nothing as long as the queue is not full.
//! - A report covers the changes whose signals the reader had received by then. A signal that is still in its queue keeps
//!   the reader widened.
//! - A reader is widened once it subscribes to that topic, since it may have missed an earlier signal.
//! - The queue of a widened reader has the usual bounds and the usual backpressure.

use std::collections::BTreeMap;

use decnet_core::topic::system_topics::APPLIED_TOPIC;

use super::hub::State;
use super::routes::Slot;
use crate::applied::Applied;

/// The widened readers, each with the position of the newest change signal in its stream; see
/// [`Queue::position`](super::queue::Queue::position).
pub(super) type Widened = BTreeMap<Slot, u64>;

impl State {
    /// Widens a reader that has just subscribed to [`APPLIED_TOPIC`].
    pub(super) fn widen_on_subscribe(&mut self, slot: Slot, pattern: &str) {
        if pattern == APPLIED_TOPIC && self.reader_mut(slot).claims_lossless {
            self.widened.entry(slot).or_default();
        }
    }

    /// Widens the readers that have just been sent a change signal.
    pub(super) fn widen_recipients(&mut self) {
        for slot in std::mem::take(&mut self.recipients) {
            let reader = self.reader_mut(slot);
            let position = reader.outbound.queue().position();
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
        let passed = reader.outbound.queue().position_after(received);
        if self.widened.get(&from).is_some_and(|position| *position <= passed) {
            self.widened.remove(&from);
        }
        self.routes.holds(from, APPLIED_TOPIC)
    }

    /// Ends the widening of a reader that no longer subscribes to [`APPLIED_TOPIC`].
    pub(super) fn narrow_unless_subscribed(&mut self, slot: Slot) {
        if !self.routes.holds(slot, APPLIED_TOPIC) {
            self.widened.remove(&slot);
        }
    }

    /// Ends the widening of a disconnected reader and returns the number of events that were added after the newest change
    /// signal, for its successor. Call it before the queue is emptied.
    pub(super) fn take_pending_change(&mut self, slot: Slot) -> Option<u64> {
        let position = self.widened.remove(&slot)?;
        Some(self.reader_mut(slot).outbound.queue().position().saturating_sub(position))
    }

    /// Widens a successor whose stream begins with `kept` events, `events_after` of them after the newest change signal. A
    /// signal that is not among them was lost with the predecessor's connection.
    pub(super) fn widen_successor(&mut self, successor: Slot, events_after: u64, kept: usize) {
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.widened.insert(successor, kept.saturating_sub(events_after));
    }
}
