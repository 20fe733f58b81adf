//! Counters of losses for the heartbeat, and of the memory of the readers' queues.

use std::sync::atomic::{AtomicUsize, Ordering};

use decnet_runtime::metrics::Counter;

use crate::losses::Losses;

/// The counters shared by the hub and all queues.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Events dropped for ordinary readers.
    pub(super) ordinary: Counter,
    /// Events dropped for lossless readers.
    pub(super) lossless: Counter,
    /// The number of times that publishers began to wait.
    pub(super) pauses: Counter,
    /// The memory of all frames that wait for ordinary readers or are being written to them. A frame for several readers
    /// counts for each.
    pub(super) outbound_bytes: AtomicUsize,
}

impl Counters {
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
}
