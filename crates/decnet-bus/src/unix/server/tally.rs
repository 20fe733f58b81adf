//! What of the bus's service fell short: counted where it happens, told with every heartbeat.

use decnet_core::measure::Counter;

use crate::losses::Losses;

/// Shared by the hub and all queues; nothing is counted while all goes well.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Events that ordinary readers lost.
    pub(super) ordinary: Counter,
    /// Events that lossless readers lost.
    pub(super) lossless: Counter,
    /// Times that publishers began to wait.
    pub(super) pauses: Counter,
}

impl Tally {
    pub(super) fn read(&self) -> Losses {
        Losses {
            dropped_ordinary: self.ordinary.get(),
            dropped_lossless: self.lossless.get(),
            publisher_pauses: self.pauses.get(),
        }
    }
}
