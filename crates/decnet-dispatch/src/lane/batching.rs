//! The requests of a lane: how many deliveries go into one request, and how long the first of them waits for others.

use std::time::Duration;

use decnet_core::limits::LANE_CAPACITY;
use decnet_core::settings::{Batch, Digest};
use decnet_core::time::BootMicros;

use super::Lane;
use crate::request_batch::{ReadyDelivery, RequestBatch};

impl Lane {
    /// Returns the batch settings. A digest is a batch of all events of its window.
    pub(super) fn batch(&self) -> Option<Batch> {
        let settings = &self.stored.settings;
        settings.batch.or_else(|| settings.digest.map(Digest::as_batch))
    }

    /// Returns the time until which the deliveries in memory wait for others to form a batch.
    pub(super) fn lingers_until(&self, batch: Batch) -> Option<BootMicros> {
        let first = self.ready.front()?;
        let is_due = self.is_urgent
            || batch.is_due(first.attempts, self.ready.len(), self.ready_bytes, Duration::ZERO);
        (!is_due).then(|| first.ready_at.after(batch.linger()))
    }

    /// Ends the window of the digest whose deliveries are in memory.
    pub(crate) fn end_window(&mut self) {
        self.is_urgent = true;
    }

    /// Returns the number of deliveries in memory at or below which the lane claims more: half of its capacity, or one less
    /// than a full batch, since an incomplete batch would wait although more events are queued.
    pub(crate) fn low_watermark(&self, capacity: usize) -> usize {
        let batch = self.batch().map_or(0, |batch| batch.max_events() - 1);
        batch.max(capacity / 2)
    }

    /// Returns the number of deliveries that this number of requests can carry. Even a full lane should claim that many
    /// deliveries.
    pub(crate) fn burst(&self, requests: usize) -> usize {
        let max_events = self.batch().map_or(1, Batch::max_events);
        (requests * max_events).min(LANE_CAPACITY)
    }

    /// Removes and returns the deliveries of the next request, which counts once towards the rate.
    pub(crate) fn next_request(&mut self) -> Option<RequestBatch> {
        let first = self.pop()?;
        if let Some(rate) = self.stored.settings.rate {
            self.pacer.count(rate, self.clock.uptime());
        }
        let rest = self.batch_of(&first).map_or_else(Vec::new, |batch| self.fill_batch(batch, &first));
        Some(RequestBatch { first, rest })
    }

    /// Returns the batch settings of a request that begins with `first`. A digest has a format, which the retry of a plain event does
    /// not have.
    fn batch_of(&self, first: &ReadyDelivery) -> Option<Batch> {
        let is_plain = first.was_tried() && first.rendered.is_none();
        if is_plain { self.stored.settings.batch } else { self.batch() }
    }

    /// Removes and returns the deliveries that go in a batch with `first`.
    fn fill_batch(&mut self, batch: Batch, first: &ReadyDelivery) -> Vec<ReadyDelivery> {
        let (format, is_digest) = (batch.format(), self.stored.settings.digest.is_some());
        // The format shortens a digest. Only a refused one is retried in smaller parts, and its attempts are free.
        let counted =
            |delivery: &ReadyDelivery| if is_digest { delivery.free_attempts } else { delivery.attempts };
        let (mut attempts, mut bytes) = (counted(first), format.added_bytes(&first.event));
        let mut rest = Vec::new();
        while let Some(next) = self.ready.front() {
            let added = format.added_bytes(&next.event);
            attempts = attempts.max(counted(next));
            if !batch.has_room(attempts, 1 + rest.len(), bytes, added) || !self.is_rendered_alike(first, next)
            {
                break;
            }
            bytes += added;
            rest.extend(self.pop());
        }
        self.is_urgent =
            self.is_urgent && self.ready.iter().any(|delivery| self.is_delivery_urgent(delivery));
        rest
    }

    /// Returns whether two deliveries are rendered with the same settings: those of their earlier attempts, or the current ones.
    fn is_rendered_alike(&self, first: &ReadyDelivery, next: &ReadyDelivery) -> bool {
        next.rendering_id() == first.rendering_id()
            && (self.destination.is_none() || next.was_tried() == first.was_tried())
    }

    pub(super) fn is_delivery_urgent(&self, delivery: &ReadyDelivery) -> bool {
        self.destination.as_ref().is_some_and(|destination| destination.is_urgent(&delivery.event))
    }
}
