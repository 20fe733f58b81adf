//! Routes events and admits them: each batch becomes one or a few commits of the queue.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use decnet_core::delivery::{Reason, State};
use decnet_core::event::Event;
use decnet_core::limits::MAX_COMMIT_ROWS;
use decnet_core::topic::system_topics::SIGNAL_TOPICS;
use decnet_store::queue::{
    Admission, Admitted, DeliveryId, Placement, Recipient, Rejection, SubmissionId, SubscriptionKey,
};

use super::Dispatcher;
use super::selection::Selected;
use super::writes::WriteResult;
use crate::intake::IncomingBatch;
use crate::notice_throttle::DeadLetterSummary;
use crate::request_batch::{DeliverySource, ReadyDelivery};
use crate::spans::Span;

/// Events and deliveries that are committed.
pub(super) struct AdmittedBatch {
    admissions: Arc<[Admission]>,
    admitted: Vec<Admitted>,
    rows: usize,
    provenance: Provenance,
}

/// The origin of the events of a batch.
#[derive(Clone)]
pub(super) enum Provenance {
    /// The bus. When the last clone is dropped, the intake may read more.
    Bus(#[expect(dead_code, reason = "dropping it returns the permit of the intake")] Rc<IncomingBatch>),
    /// The table of submitted events.
    Submitted,
    /// The worker itself. The subscription that the event is about does not receive it.
    Own { about: SubscriptionKey },
}

/// Returns whether an event is an operational event, or a message of the bus to the worker. Such events normally
/// have no recipients.
fn is_internal(provenance: &Provenance, topic: &str) -> bool {
    match provenance {
        Provenance::Bus(_) => SIGNAL_TOPICS.contains(&topic),
        Provenance::Submitted => false,
        Provenance::Own { .. } => true,
    }
}

impl Dispatcher {
    pub(super) fn admit(&mut self, mut batch: IncomingBatch) {
        let events = std::mem::take(&mut batch.events);
        let events = events.into_iter().map(|event| (None, event));
        self.admit_from(events, &Provenance::Bus(Rc::new(batch)));
    }

    /// Routes events and starts their admission. Submitted events have the id of their submission. Returns the number of
    /// commits.
    pub(super) fn admit_from(
        &mut self,
        events: impl ExactSizeIterator<Item = (Option<SubmissionId>, Event)>,
        provenance: &Provenance,
    ) -> usize {
        let (mut routed, mut rows, mut commits) = (Vec::new(), 0, 0);
        let mut admissions = Vec::with_capacity(events.len());
        for (submitted, event) in events {
            self.routing.trie.route(&event.topic, &mut routed);
            if let Provenance::Own { about } = provenance {
                routed.retain(|key| *key != about.0);
            }
            if routed.is_empty() {
                self.stats.unrouted.add(u64::from(!is_internal(provenance, &event.topic)));
            }
            let to = self.recipients(&routed, &event);
            // A submitted event waits until it is admitted, even without recipients.
            if to.is_empty() && submitted.is_none() {
                continue;
            }
            rows += 1 + to.len();
            admissions.push(Admission { event: Arc::new(event), to, submitted });
            // With a large fan-out a few events fill a commit, and need not wait for the rest of the batch.
            if rows >= MAX_COMMIT_ROWS {
                self.start_admission(std::mem::take(&mut admissions), rows, provenance);
                (rows, commits) = (0, commits + 1);
            }
        }
        if !admissions.is_empty() {
            self.start_admission(admissions, rows, provenance);
            commits += 1;
        }
        commits
    }

    fn start_admission(&mut self, admissions: Vec<Admission>, rows: usize, provenance: &Provenance) {
        let admissions: Arc<[Admission]> = admissions.into();
        let (batch, provenance) = (Arc::clone(&admissions), provenance.clone());
        self.writes.admission_rows += rows;
        self.spawn_write(
            async move |queue| queue.admit(batch).await,
            move |admitted| WriteResult::Admitted(AdmittedBatch { admissions, admitted, rows, provenance }),
        );
    }

    /// Returns the recipients of an event among the subscriptions whose patterns match.
    fn recipients(&mut self, routed: &[u32], event: &Event) -> Vec<Recipient> {
        let keys = routed.iter().map(|key| SubscriptionKey(*key));
        if self.selection.is_empty() {
            return keys.map(|key| self.recipient(key, event)).collect();
        }
        let selected = self.selection.select(event, keys);
        selected
            .into_iter()
            .filter_map(|(key, selected)| self.selected_recipient(key, selected, event))
            .collect()
    }

    fn selected_recipient(
        &mut self,
        key: SubscriptionKey,
        selected: Selected,
        event: &Event,
    ) -> Option<Recipient> {
        match selected {
            Selected::Deliver => Some(self.recipient(key, event)),
            Selected::Exclude => {
                self.stats.excluded.add(1);
                if let Some(lane) = self.lanes.get_mut(&key) {
                    lane.metrics.metrics().excluded.add(1);
                }
                None
            }
            Selected::Fail(detail) => {
                let rejection = Rejection { reason: Reason::Filter, detail };
                Some(Recipient { sub: key, placement: Placement::Dead(Box::new(rejection)) })
            }
        }
    }

    /// Decides before the commit whether the delivery stays in memory, because the row records it.
    fn recipient(&mut self, sub: SubscriptionKey, event: &Event) -> Recipient {
        let bytes = event.body.len();
        // Every routed subscription has a lane. Without a lane, the delivery would wait in the queue.
        let Some(lane) = self.lanes.get_mut(&sub) else { return Recipient::new(sub, false) };
        let capacity = self.memory.lane_capacity(lane.is_fast());
        let held = self.memory.fits(bytes) && lane.fits(bytes, capacity);
        if held {
            lane.reserved += 1;
            self.memory.hold(bytes);
        } else {
            lane.backlog.add(bytes);
        }
        Recipient::new(sub, held)
    }

    pub(super) fn on_admitted(&mut self, batch: &AdmittedBatch) {
        self.writes.admission_rows -= batch.rows;
        for (admission, admitted) in batch.admissions.iter().zip(&batch.admitted) {
            if !admission.to.is_empty() {
                self.count_admitted(admitted, &admission.event);
            }
            for (n, recipient) in (0..).zip(&admission.to) {
                let id = admitted.first.plus(n);
                self.deliver_to_lane(recipient, id, admitted.duplicate, &admission.event);
            }
        }
        if matches!(batch.provenance, Provenance::Submitted) {
            self.submissions.commits -= 1;
        }
        self.take_submitted_if_requested();
    }

    fn count_admitted(&mut self, admitted: &Admitted, event: &Event) {
        if !admitted.duplicate {
            if let Some(spans) = &self.options.spans {
                spans.record(Span::admission(event, self.clock.wall()));
            }
            return self.stats.admitted.add(1);
        }
        self.stats.duplicates.add(1);
        if let Some(times) = self.duplicate_log.record(Instant::now()) {
            tracing::warn!(topic = %event.topic, id = %event.id, times, "skipped an event whose id was admitted before");
        }
    }

    fn deliver_to_lane(
        &mut self,
        recipient: &Recipient,
        id: DeliveryId,
        is_duplicate: bool,
        event: &Arc<Event>,
    ) {
        let Recipient { sub: key, placement } = recipient;
        let (key, is_held) = (*key, *placement == Placement::Held);
        if let Placement::Dead(rejection) = placement {
            if !is_duplicate {
                self.count_rejected(key, rejection, event);
            }
            return;
        }
        // Only a held delivery keeps its lane. Other deliveries wait in the queue, and end there if the subscription was deleted.
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        if !is_duplicate {
            lane.metrics.count_admitted(is_held);
            self.notices.record_backlog(lane, self.options.backlog_threshold);
        }
        if !is_held {
            return self.refill(key);
        }
        lane.reserved -= 1;
        if is_duplicate {
            return self.memory.release(1, event.body.len());
        }
        lane.push(ReadyDelivery::new(id, Arc::clone(event), DeliverySource::Admitted));
        if lane.is_open() { self.pump(key) } else { self.spill_to_queue(key) }
    }

    /// Counts and reports a delivery that was dead from the start.
    fn count_rejected(&mut self, key: SubscriptionKey, rejection: &Rejection, event: &Event) {
        let state = State::Dead { reason: rejection.reason };
        self.stats.attempts(Some(rejection.reason)).add(1);
        self.stats.count_settled(&state);
        // The lane may have been removed during the commit.
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.metrics.count_rejected();
        lane.metrics.set_last_error(self.clock.uptime(), &rejection.detail);
        lane.failure_log.log_rejection(lane.name(), &rejection.detail, Instant::now());
        if !event.operational {
            let (reason, event_id, topic) = (rejection.reason, event.id.clone(), event.topic.clone());
            self.emit_dead(key, DeadLetterSummary { count: 1, reason, event_id, topic });
        }
    }
}

#[cfg(test)]
mod tests {
    use decnet_core::time::UnixMicros;

    use super::super::tests::started;
    use super::*;

    #[tokio::test]
    async fn duplicates_are_logged_once_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut dispatcher = started(dir.path()).await;
        let event = Event::new("e1", "a.b", "test", UnixMicros(0), "{}").unwrap();
        let duplicate = Admitted { duplicate: true, first: "1.0".parse().unwrap() };
        (0..100).for_each(|_| dispatcher.count_admitted(&duplicate, &event));
        assert_eq!(
            (dispatcher.stats.duplicates.get(), dispatcher.duplicate_log.take_pending()),
            (100, Some(99))
        );
    }
}
