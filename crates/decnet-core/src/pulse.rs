//! A sign of life that a loop gives and somebody else reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the beats of one loop. A clone is the same pulse, seen from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// The loop has turned. A loop that lives does so at least every [`PULSE_INTERVAL`](crate::limits::PULSE_INTERVAL).
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Beats so far; 0 for a loop that has not begun.
    #[must_use]
    pub fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_is_seen_by_every_clone() {
        let pulse = Pulse::default();
        let seen = pulse.clone();
        assert_eq!(seen.beats(), 0);
        pulse.beat();
        assert_eq!((pulse.beats(), seen.beats()), (1, 1));
    }
}
