//! Route, then admit: a batch of events becomes one write of the queue.

use std::rc::Rc;
use std::sync::Arc;

use decnet_core::event::Event;
use decnet_core::limits::{MAX_ADMITTING_ROWS, MAX_COMMIT_ROWS};
use decnet_core::topic::own::SIGNAL_TOPICS;
use decnet_store::queue::{Admission, Admitted, DeliveryId, Recipient, SubmissionId, SubscriptionKey};

use super::{Dispatcher, Done};
use crate::intake::Batch;
use crate::members::{Held, Origin};
use crate::spans::Span;

/// A batch whose events and deliveries are committed.
pub(super) struct AdmittedBatch {
    admissions: Arc<[Admission]>,
    admitted: Vec<Admitted>,
    rows: usize,
    provenance: Provenance,
}

/// Where a batch's events came from.
#[derive(Clone)]
pub(super) enum Provenance {
    /// From the bus. Gives the intake its room back with the last piece of it.
    Bus(#[expect(dead_code, reason = "its end is its use")] Rc<Batch>),
    /// From the table of what was submitted.
    Submitted,
    /// From ourselves, about this subscription, which is not sent it.
    Own { about: SubscriptionKey },
}

/// Is it about the worker's own work: something that it reports, or a message to it from the bus?
fn is_to_or_from_us(provenance: &Provenance, topic: &str) -> bool {
    match provenance {
        Provenance::Bus(_) => SIGNAL_TOPICS.contains(&topic),
        Provenance::Submitted => false,
        Provenance::Own { .. } => true,
    }
}

impl Dispatcher {
    pub(super) fn admit(&mut self, mut batch: Batch) {
        let events = std::mem::take(&mut batch.events);
        let events = events.into_iter().map(|event| (None, event));
        self.admit_from(events, &Provenance::Bus(Rc::new(batch)));
    }

    /// Routes events, each with its place among what was submitted, if it was. How many writes that made.
    pub(super) fn admit_from(
        &mut self,
        events: impl ExactSizeIterator<Item = (Option<SubmissionId>, Event)>,
        provenance: &Provenance,
    ) -> usize {
        let (mut routed, mut rows, mut writes) = (Vec::new(), 0, 0);
        let mut admissions = Vec::with_capacity(events.len());
        for (submitted, event) in events {
            self.trie.route(&event.topic, &mut routed);
            if let Provenance::Own { about } = provenance {
                routed.retain(|key| *key != about.0);
            }
            if routed.is_empty() {
                self.stats.unrouted.add(u64::from(!is_to_or_from_us(provenance, &event.topic)));
                // What was submitted waits until it is admitted, though to nobody.
                if submitted.is_none() {
                    continue;
                }
            }
            let to = routed.iter().map(|key| self.recipient(SubscriptionKey(*key), &event)).collect();
            admissions.push(Admission { event: Arc::new(event), to, submitted });
            rows += 1 + routed.len();
            // With a large fan-out few events make a commit, and nothing waits for all of the batch.
            if rows >= MAX_COMMIT_ROWS {
                self.submit_admissions(std::mem::take(&mut admissions), rows, provenance);
                (rows, writes) = (0, writes + 1);
            }
        }
        if !admissions.is_empty() {
            self.submit_admissions(admissions, rows, provenance);
            writes += 1;
        }
        writes
    }

    fn submit_admissions(&mut self, admissions: Vec<Admission>, rows: usize, provenance: &Provenance) {
        let admissions: Arc<[Admission]> = admissions.into();
        let (queue, submitted, provenance) =
            (self.queue.clone(), Arc::clone(&admissions), provenance.clone());
        self.admitting += rows;
        let work = async move { queue.admit(submitted).await };
        self.write(work, move |admitted| {
            Done::Admitted(AdmittedBatch { admissions, admitted, rows, provenance })
        });
    }

    /// Has so much to commit already that the intake must wait? Bodies are bounded there, recipients here.
    pub(super) fn admits_enough(&self) -> bool {
        self.admitting >= MAX_ADMITTING_ROWS
    }

    /// Decides before the commit whether the delivery stays in memory, so that the row says so.
    fn recipient(&mut self, sub: SubscriptionKey, event: &Event) -> Recipient {
        let bytes = event.body.len();
        let Some(lane) = self.lanes.get_mut(&sub) else { return Recipient { sub, held: false } };
        let capacity = self.memory.lane_capacity(lane.is_fast());
        let held = self.memory.fits(bytes) && lane.has_room_for(bytes, capacity);
        if held {
            lane.reserved += 1;
            self.memory.take(bytes);
        } else {
            lane.backlog.spill(bytes);
        }
        Recipient { sub, held }
    }

    pub(super) fn admitted(&mut self, batch: &AdmittedBatch) {
        self.writes -= 1;
        self.admitting -= batch.rows;
        for (admission, admitted) in batch.admissions.iter().zip(&batch.admitted) {
            if !admission.to.is_empty() {
                self.count(admitted, &admission.event);
            }
            for (n, recipient) in (0..).zip(&admission.to) {
                self.hand_over(recipient, admitted.first.plus(n), admitted.duplicate, &admission.event);
            }
        }
        if matches!(batch.provenance, Provenance::Submitted) {
            self.submissions_admitted();
        }
        self.take_submitted_if_asked();
    }

    fn count(&self, admitted: &Admitted, event: &Event) {
        if !admitted.duplicate {
            if let Some(spans) = &self.options.spans {
                spans.take(Span::admission(event, self.clock.wall()));
            }
            return self.stats.admitted.add(1);
        }
        self.stats.duplicates.add(1);
        let count = self.stats.duplicates.get();
        if count.is_power_of_two() {
            tracing::warn!(topic = %event.topic, id = %event.id, count, "an event came again with its id; left out");
        }
    }

    fn hand_over(&mut self, recipient: &Recipient, id: DeliveryId, duplicate: bool, event: &Arc<Event>) {
        let Some(lane) = self.lanes.get_mut(&recipient.sub) else { return };
        if !duplicate {
            lane.tally.admitted(recipient.held);
            self.telling.admitted(lane, self.options.backlog_threshold);
        }
        if !recipient.held {
            self.refill(recipient.sub);
            return;
        }
        lane.reserved -= 1;
        if duplicate {
            self.memory.give(1, event.body.len());
            return;
        }
        lane.push(Held::new(id, 0, Arc::clone(event), Origin::Admitted));
        if lane.is_open() { self.pump(recipient.sub) } else { self.give_up(recipient.sub) }
    }
}
