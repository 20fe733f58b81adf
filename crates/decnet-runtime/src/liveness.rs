//! The liveness of a loop, as seen by its supervisor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter of the iterations of one loop. Clones share it, so that a supervisor can detect whether the loop still runs.
#[derive(Debug, Clone, Default)]
pub struct Liveness(Arc<AtomicU64>);

impl Liveness {
    /// Counts an iteration. A live loop calls this at least every
    /// [`LIVENESS_INTERVAL`](decnet_core::limits::LIVENESS_INTERVAL).
    pub fn record_turn(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of iterations so far; 0 if the loop has not started.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_counter() {
        let liveness = Liveness::default();
        let observed = liveness.clone();
        assert_eq!(observed.turns(), 0);
        liveness.record_turn();
        assert_eq!((liveness.turns(), observed.turns()), (1, 1));
    }
}
