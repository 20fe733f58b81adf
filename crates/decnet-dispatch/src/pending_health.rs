//! The changes of a subscription's health that are not written to the row yet.

use decnet_core::time::UnixMicros;
use decnet_store::catalog::{CircuitChange, Deferral, LastFailure};

/// Successes and failures since the last write, folded into one update.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HealthChanges {
    pub(crate) succeeded_at: Option<UnixMicros>,
    /// Failures since the last success.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<LastFailure>,
    /// The change of the circuit breaker that the row must show.
    pub(crate) circuit: CircuitChange,
    pub(crate) deferral: Deferral,
}

/// The changes that are due to be written, and the state of the write.
#[derive(Debug, Default)]
pub(crate) struct PendingHealthUpdate {
    changes: HealthChanges,
    /// Whether the lane is in the list of the next write.
    is_listed: bool,
    is_writing_circuit: bool,
    /// The number of the newest reload that had started when a change of the circuit was last written.
    circuit_written_during: u64,
}

impl PendingHealthUpdate {
    pub(crate) fn record_success(&mut self, at: UnixMicros) {
        self.changes.succeeded_at = Some(at);
        self.changes.failures = 0;
    }

    pub(crate) fn record_failure(&mut self, at: UnixMicros, error: &str) {
        self.changes.failures = self.changes.failures.saturating_add(1);
        self.record_refusal(at, error);
    }

    /// Records a failure that does not count towards the circuit threshold.
    pub(crate) fn record_refusal(&mut self, at: UnixMicros, error: &str) {
        self.changes.last_failure = Some(LastFailure { at, error: error.into() });
    }

    pub(crate) fn record_circuit(&mut self, circuit: CircuitChange) {
        self.changes.circuit = circuit;
    }

    /// Records that the receiver has asked for a pause (`Retry-After`), or that an operator has lifted it.
    pub(crate) fn record_deferral(&mut self, deferral: Deferral) {
        self.changes.deferral = deferral;
    }

    /// Returns whether a change of the circuit waits to be written, or is being written.
    pub(crate) fn has_circuit_change(&self) -> bool {
        self.changes.circuit != CircuitChange::None || self.is_writing_circuit
    }

    /// Returns whether the reload with this number may have read the row before a change of the circuit was written.
    pub(crate) fn outdates(&self, reload: u64) -> bool {
        self.circuit_written_during >= reload
    }

    /// Marks the lane as listed for the next write. Returns whether it must be added to the list: there are changes, and it
    /// was not listed before.
    pub(crate) fn mark_listed(&mut self) -> bool {
        self.changes != HealthChanges::default() && !std::mem::replace(&mut self.is_listed, true)
    }

    /// Takes the changes for a write that starts now.
    pub(crate) fn take(&mut self) -> Option<HealthChanges> {
        self.is_listed = false;
        let changes = std::mem::take(&mut self.changes);
        if changes == HealthChanges::default() {
            return None;
        }
        self.is_writing_circuit = changes.circuit != CircuitChange::None;
        Some(changes)
    }

    /// Ends a write that succeeded, or that was dropped because the row has changed. `reload` is the number of the newest
    /// reload that has started.
    pub(crate) fn mark_written(&mut self, reload: u64) {
        if std::mem::take(&mut self.is_writing_circuit) {
            self.circuit_written_during = reload;
        }
    }

    /// Ends a write that failed: its changes are due again, folded with the changes that were recorded during the write.
    pub(crate) fn restore(&mut self, earlier: HealthChanges) {
        self.is_writing_circuit = false;
        let later = std::mem::replace(&mut self.changes, earlier);
        if let Some(at) = later.succeeded_at {
            self.record_success(at);
        }
        self.changes.failures = self.changes.failures.saturating_add(later.failures);
        self.changes.last_failure = later.last_failure.or(self.changes.last_failure.take());
        if later.circuit != CircuitChange::None {
            self.changes.circuit = later.circuit;
        }
        if later.deferral != Deferral::Keep {
            self.changes.deferral = later.deferral;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(at: i64, error: &str) -> Option<LastFailure> {
        Some(LastFailure { at: UnixMicros(at), error: error.into() })
    }

    #[test]
    fn results_are_folded_until_they_are_written() {
        let mut pending = PendingHealthUpdate::default();
        assert!(pending.take().is_none());
        pending.record_failure(UnixMicros(1), "a");
        pending.record_success(UnixMicros(2));
        pending.record_failure(UnixMicros(3), "b");
        let changes = pending.take().unwrap();
        assert_eq!((changes.failures, changes.last_failure), (1, failure(3, "b")));
        assert_eq!(changes.succeeded_at, Some(UnixMicros(2)));
        assert!(pending.take().is_none());
    }

    #[test]
    fn refusal_is_recorded_but_not_counted() {
        let mut pending = PendingHealthUpdate::default();
        pending.record_refusal(UnixMicros(1), "a");
        let changes = pending.take().unwrap();
        assert_eq!((changes.failures, changes.last_failure), (0, failure(1, "a")));
    }

    #[test]
    fn lane_is_listed_once_until_its_changes_are_taken() {
        let mut pending = PendingHealthUpdate::default();
        assert!(!pending.mark_listed(), "there is nothing to write");
        pending.record_success(UnixMicros(1));
        pending.record_failure(UnixMicros(2), "a");
        assert!(pending.mark_listed() && !pending.mark_listed());
        let changes = pending.take().unwrap();
        assert!(!pending.mark_listed());
        pending.restore(changes);
        assert!(pending.mark_listed() && !pending.mark_listed());
    }

    #[test]
    fn written_circuit_change_outdates_earlier_reloads() {
        let mut pending = PendingHealthUpdate::default();
        pending.record_failure(UnixMicros(1), "a");
        pending.take().unwrap();
        pending.mark_written(1);
        assert!(!pending.outdates(1), "only a change of the circuit counts");
        pending.record_circuit(CircuitChange::Trip);
        pending.take().unwrap();
        pending.mark_written(2);
        assert!(pending.outdates(2) && !pending.outdates(3));
    }

    #[test]
    fn failed_write_is_folded_with_later_results() {
        let mut pending = PendingHealthUpdate::default();
        pending.record_failure(UnixMicros(1), "a");
        pending.record_circuit(CircuitChange::Trip);
        pending.record_deferral(Deferral::Until(UnixMicros(7)));
        let changes = pending.take().unwrap();
        assert!(pending.has_circuit_change());
        pending.record_failure(UnixMicros(2), "b");
        pending.restore(changes);
        let changes = pending.take().unwrap();
        assert_eq!((changes.failures, changes.last_failure), (2, failure(2, "b")));
        assert_eq!(changes.deferral, Deferral::Until(UnixMicros(7)));
        assert_eq!(changes.circuit, CircuitChange::Trip);
    }
}
