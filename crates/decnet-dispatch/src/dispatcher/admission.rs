//! Route, then admit: a batch of events becomes one write of the queue.

use std::sync::Arc;

use decnet_core::event::Event;
use decnet_store::queue::{Admission, Admitted, DeliveryId, Recipient, SubscriptionKey};

use super::{Dispatcher, Done};
use crate::intake::Batch;
use crate::lane::Held;

/// A batch whose events and deliveries are committed.
pub(super) struct AdmittedBatch {
    admissions: Arc<[Admission]>,
    admitted: Vec<Admitted>,
    /// Gives the intake its room back.
    _batch: Batch,
}

impl Dispatcher {
    pub(super) fn admit(&mut self, mut batch: Batch) {
        let mut routed = Vec::new();
        let mut admissions = Vec::with_capacity(batch.events.len());
        for event in batch.events.drain(..) {
            self.trie.route(&event.topic, &mut routed);
            if routed.is_empty() {
                self.stats.unrouted.add(1);
                continue;
            }
            let to = routed.iter().map(|key| self.recipient(SubscriptionKey(*key), &event)).collect();
            admissions.push(Admission { event: Arc::new(event), to });
        }
        if !admissions.is_empty() {
            self.submit_admissions(admissions.into(), batch);
        }
    }

    fn submit_admissions(&mut self, admissions: Arc<[Admission]>, batch: Batch) {
        let queue = self.queue.clone();
        let submitted = Arc::clone(&admissions);
        let work = async move { queue.admit(submitted).await };
        self.write(work, move |admitted| {
            Done::Admitted(AdmittedBatch { admissions, admitted, _batch: batch })
        });
    }

    /// Decides before the commit whether the delivery stays in memory, so that the row says so.
    fn recipient(&mut self, sub: SubscriptionKey, event: &Event) -> Recipient {
        let bytes = event.body.len();
        let Some(lane) = self.lanes.get_mut(&sub) else { return Recipient { sub, held: false } };
        let held = self.memory.fits(bytes) && lane.has_room_for(bytes);
        if held {
            lane.reserved += 1;
            self.memory.take(bytes);
        } else {
            lane.backlog.spills += 1;
            lane.backlog.spilled = true;
        }
        Recipient { sub, held }
    }

    pub(super) fn admitted(&mut self, batch: &AdmittedBatch) {
        self.writes -= 1;
        for (admission, admitted) in batch.admissions.iter().zip(&batch.admitted) {
            self.stats.admitted.add(u64::from(!admitted.duplicate));
            for (n, recipient) in (0..).zip(&admission.to) {
                self.hand_over(recipient, admitted.first.plus(n), admitted.duplicate, &admission.event);
            }
        }
    }

    fn hand_over(&mut self, recipient: &Recipient, id: DeliveryId, duplicate: bool, event: &Arc<Event>) {
        let Some(lane) = self.lanes.get_mut(&recipient.sub) else { return };
        if !recipient.held {
            self.refill(recipient.sub);
            return;
        }
        lane.reserved -= 1;
        if duplicate {
            self.memory.give(1, event.body.len());
            return;
        }
        lane.push(Held { id, attempts: 0, event: Arc::clone(event), claimed: false }, false);
        if lane.is_open() { self.pump(recipient.sub) } else { self.give_up(recipient.sub) }
    }
}
