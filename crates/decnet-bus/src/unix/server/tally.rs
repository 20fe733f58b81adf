//! What of the bus's service fell short, for the heartbeat, and how much waits for its readers.

use std::sync::atomic::{AtomicUsize, Ordering};

use decnet_core::measure::Counter;

use crate::losses::Losses;

/// Shared by the hub and all queues.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Events that ordinary readers lost.
    pub(super) ordinary: Counter,
    /// Events that lossless readers lost.
    pub(super) lossless: Counter,
    /// Times that publishers began to wait.
    pub(super) pauses: Counter,
    /// Memory of all frames that wait for ordinary readers or are being written to them. A frame that waits for several
    /// readers counts for each.
    outbound_bytes: AtomicUsize,
}

impl Tally {
    pub(super) fn read(&self) -> Losses {
        Losses {
            dropped_ordinary: self.ordinary.get(),
            dropped_lossless: self.lossless.get(),
            publisher_pauses: self.pauses.get(),
        }
    }

    pub(super) fn outbound_bytes(&self) -> usize {
        self.outbound_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add_outbound(&self, bytes: usize) {
        self.outbound_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn sub_outbound(&self, bytes: usize) {
        self.outbound_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
