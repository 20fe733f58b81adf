//! The deliveries of one request.

use std::iter::once;
use std::sync::Arc;

use decnet_core::delivery::Rendered;
use decnet_core::event::Event;
use decnet_core::time::BootMicros;
use decnet_store::queue::DeliveryId;

/// A delivery in memory that waits for a permit, or is in flight.
#[derive(Debug)]
pub(crate) struct ReadyDelivery {
    pub(crate) id: DeliveryId,
    /// The number of attempts so far.
    pub(crate) attempts: u32,
    /// The number of attempts that were free: they used up no retry.
    pub(crate) free_attempts: u32,
    pub(crate) event: Arc<Event>,
    pub(crate) source: DeliverySource,
    /// The rendering of earlier attempts, if they were rendered.
    pub(crate) rendered: Option<Box<Rendered>>,
    /// The time since which the delivery waits for others to form a batch. Set only if the subscription has batches.
    pub(crate) ready_at: BootMicros,
}

/// The origin of a delivery in memory. A claimed delivery is not claimed again until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliverySource {
    /// Kept in memory when it was admitted.
    Admitted,
    /// Claimed from the queue, in the order of admission.
    Queued,
    /// Claimed when its retry was due.
    Retry,
    /// Claimed after an operator requested it. Redeliveries wait behind everything that was admitted.
    Redelivered,
}

/// The deliveries of one request: a single delivery, which needs no allocation, or the deliveries of a batch.
#[derive(Debug)]
pub(crate) struct RequestBatch {
    pub(crate) first: ReadyDelivery,
    pub(crate) rest: Vec<ReadyDelivery>,
}

impl ReadyDelivery {
    /// Creates a delivery without attempts.
    pub(crate) fn new(id: DeliveryId, event: Arc<Event>, source: DeliverySource) -> Self {
        Self { id, attempts: 0, free_attempts: 0, event, source, rendered: None, ready_at: BootMicros(0) }
    }

    /// Returns the size of the body, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.event.body.len()
    }

    /// Returns the id of the rendering of earlier attempts, if they were rendered.
    pub(crate) fn rendering_id(&self) -> Option<i64> {
        self.rendered.as_ref().map(|rendered| rendered.rendering.id)
    }

    /// Returns whether there was an attempt.
    pub(crate) fn was_tried(&self) -> bool {
        self.attempts > 0
    }

    /// Returns the number of the attempt that is being made, from 1.
    pub(crate) fn attempt_number(&self) -> u32 {
        self.attempts.saturating_add(1)
    }

    /// Returns the number of attempts on which retries depend: the attempt that is being made, and the earlier attempts that were
    /// not free.
    pub(crate) fn counted_attempts(&self) -> u32 {
        self.attempts.saturating_sub(self.free_attempts).saturating_add(1)
    }
}

impl RequestBatch {
    pub(crate) fn single(first: ReadyDelivery) -> Self {
        Self { first, rest: Vec::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &ReadyDelivery> + Clone {
        once(&self.first).chain(&self.rest)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> + Clone {
        self.iter().map(|delivery| &*delivery.event)
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Returns the size of all bodies, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.iter().map(ReadyDelivery::bytes).sum()
    }
}
