//! What one request carries.

use std::iter::once;
use std::sync::Arc;

use decnet_core::event::Event;
use decnet_core::time::BootMicros;
use decnet_store::queue::DeliveryId;

/// A delivery in memory, waiting for its slot or in flight.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: DeliveryId,
    /// Attempts made so far.
    pub(crate) attempts: u32,
    pub(crate) event: Arc<Event>,
    pub(crate) origin: Origin,
    /// Since when it waits for others to be sent with; kept only where there are batches.
    pub(crate) since: BootMicros,
}

/// How a delivery came into memory. One that was claimed is not claimed again until it is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Handed over when it was admitted.
    Admitted,
    /// It was queued, and claimed.
    Queued,
    /// It was to be made again, and claimed when it was due.
    Retry,
    /// An operator asked for it, so that it waited behind all that was admitted, and it was claimed.
    Redelivered,
}

/// The deliveries of one request: one, which costs no allocation, or those of a batch.
#[derive(Debug)]
pub(crate) struct Members {
    pub(crate) first: Held,
    pub(crate) rest: Vec<Held>,
}

impl Held {
    /// One that waits for nobody.
    pub(crate) fn new(id: DeliveryId, attempts: u32, event: Arc<Event>, origin: Origin) -> Self {
        Self { id, attempts, event, origin, since: BootMicros(0) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.event.body.len()
    }

    /// Attempts with the one that has just been made.
    pub(crate) fn attempts_with_this(&self) -> u32 {
        self.attempts.saturating_add(1)
    }
}

impl Members {
    pub(crate) fn one(first: Held) -> Self {
        Self { first, rest: Vec::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Held> + Clone {
        once(&self.first).chain(&self.rest)
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> + Clone {
        self.iter().map(|held| &*held.event)
    }

    pub(crate) fn len(&self) -> usize {
        1 + self.rest.len()
    }

    /// Bytes of their bodies.
    pub(crate) fn bytes(&self) -> usize {
        self.iter().map(Held::bytes).sum()
    }
}
