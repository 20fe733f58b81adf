//! Lossless readers that get every event until they have applied a change of the subscriptions.
//!
//! A worker subscribes to the topics that its subscriptions ask for. An event that follows a change, and that only the
//! changed subscription asks for, would pass the worker by until it has read the change and subscribed anew. So the
//! bus *widens* a reader when it passes the signal of a change to it: from this place in its stream on the reader gets
//! every event, until it reports with [`Applied`] that it has applied the change, and then what its patterns match.
//! That also holds for a reader that is away and remembered, and passes to its heir.
//!
//! - Only a reader that greets as a lossless one and subscribes to [`APPLIED_TOPIC`] is widened: others would never report.
//!   It is widened also if it gets an ordinary queue, so that a worker in need of a lossless one keeps its promise as long
//!   as its queue is not full.
//! - A report counts for the changes whose signals the reader had received by then. A signal behind them in its queue
//!   keeps it widened.
//! - A reader is widened from its subscription to that topic on, since it may have missed a signal before.
//! - What a widened reader gets is bounded as it always is, and its publishers wait for it in the same way.

use decnet_core::topic::own::APPLIED_TOPIC;

use super::hub::State;
use super::routes::Slot;
use crate::applied::Applied;

/// The widened readers, and the place of the newest signal in the stream of each; see
/// [`Outbound::position`](super::outbound::Outbound::position).
#[derive(Debug, Default)]
pub(super) struct Widened(Vec<(Slot, u64)>);

/// The newest signal of a reader that is away, as its heir finds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outstanding {
    /// Events that were added behind it.
    behind: u64,
}

impl Widened {
    /// Adds the widened readers to those that an event goes to.
    pub(super) fn add_to(&self, found: &mut Vec<Slot>) {
        for (slot, _) in &self.0 {
            if !found.contains(slot) {
                found.push(*slot);
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

    /// Widens the readers that a signal was just added for.
    pub(super) fn widen_addressees(&mut self) {
        for slot in std::mem::take(&mut self.found) {
            let reader = self.reader_mut(slot);
            let position = reader.outbound.position();
            if reader.claims_lossless && self.routes.holds(slot, APPLIED_TOPIC) {
                self.widened.insert(slot, position);
            }
        }
    }

    /// Takes the report of a reader; false if `payload` is none, or its publisher is not to report.
    pub(super) fn take_report(&mut self, from: Slot, payload: &str) -> bool {
        let reader = self.reader_mut(from);
        if !reader.claims_lossless {
            return false;
        }
        let Ok(Applied { received }) = serde_json::from_str(payload) else { return false };
        let passed = reader.outbound.passed(received);
        if self.widened.find(from).is_some_and(|position| position <= passed) {
            self.widened.remove(from);
        }
        self.routes.holds(from, APPLIED_TOPIC)
    }

    /// Ends the widening of a reader that does not subscribe to [`APPLIED_TOPIC`] any more.
    pub(super) fn narrow_unless_subscribed(&mut self, slot: Slot) {
        if !self.routes.holds(slot, APPLIED_TOPIC) {
            self.widened.remove(slot);
        }
    }

    /// Takes what an heir has to know of a widened reader that is away, before its queue is emptied.
    pub(super) fn outstanding(&mut self, slot: Slot) -> Option<Outstanding> {
        let position = self.widened.find(slot)?;
        self.widened.remove(slot);
        let behind = self.reader_mut(slot).outbound.position().saturating_sub(position);
        Some(Outstanding { behind })
    }

    /// Widens an heir whose stream begins with `kept` events. A signal that is not among them was lost with the
    /// connection of its predecessor.
    pub(super) fn widen_heir(&mut self, heir: Slot, outstanding: Outstanding, kept: usize) {
        let kept = u64::try_from(kept).unwrap_or(u64::MAX);
        self.widened.insert(heir, kept.saturating_sub(outstanding.behind));
    }
}
