//! What a lane has learnt of its subscription and not yet written to its row.

use decnet_core::time::UnixMicros;
use decnet_store::catalog::Deferral;

/// A change of the circuit that the row must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Circuit {
    /// Too many deliveries failed in a row.
    Tripped,
    /// The receiver answered 410.
    Gone,
    /// A probe got through.
    Reopened,
}

/// Successes and failures since the last write, folded into one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learnt {
    pub(crate) succeeded_at: Option<UnixMicros>,
    /// Failures since the last success.
    pub(crate) failures: u32,
    pub(crate) failed_at: Option<UnixMicros>,
    pub(crate) error: Option<Box<str>>,
    pub(crate) circuit: Option<Circuit>,
    pub(crate) deferral: Deferral,
}

/// Gathers what was learnt, and remembers that a change of the circuit is being written.
#[derive(Debug, Default)]
pub(crate) struct PendingRecord {
    learnt: Learnt,
    dirty: bool,
    /// Whoever writes records knows of it.
    listed: bool,
    writing_circuit: bool,
    /// The newest reload that had begun when a change of the circuit was last written.
    written_during: u64,
}

impl PendingRecord {
    pub(crate) fn succeeded(&mut self, at: UnixMicros) {
        self.dirty = true;
        self.learnt.succeeded_at = Some(at);
        self.learnt.failures = 0;
    }

    pub(crate) fn failed(&mut self, at: UnixMicros, error: &str) {
        self.learnt.failures = self.learnt.failures.saturating_add(1);
        self.refused(at, error);
    }

    /// Notes a failure that does not count towards the circuit threshold.
    pub(crate) fn refused(&mut self, at: UnixMicros, error: &str) {
        self.dirty = true;
        self.learnt.failed_at = Some(at);
        self.learnt.error = Some(error.into());
    }

    pub(crate) fn circuit(&mut self, circuit: Circuit) {
        self.dirty = true;
        self.learnt.circuit = Some(circuit);
    }

    /// Notes what the receiver asks for.
    pub(crate) fn deferral(&mut self, deferral: Deferral) {
        self.dirty = true;
        self.learnt.deferral = deferral;
    }

    /// Is a change of the circuit waiting to be written, or being written?
    pub(crate) fn has_circuit(&self) -> bool {
        self.learnt.circuit.is_some() || self.writing_circuit
    }

    /// Does what reload number `reload` read perhaps lack a change of the circuit that is written by now?
    pub(crate) fn outdates(&self, reload: u64) -> bool {
        self.written_during >= reload
    }

    /// Is there something to write that is on nobody's list yet? It is from now on.
    pub(crate) fn enlist(&mut self) -> bool {
        self.dirty && !std::mem::replace(&mut self.listed, true)
    }

    /// What to write now.
    pub(crate) fn take(&mut self) -> Option<Learnt> {
        self.listed = false;
        if !std::mem::take(&mut self.dirty) {
            return None;
        }
        let learnt = std::mem::take(&mut self.learnt);
        self.writing_circuit = learnt.circuit.is_some();
        Some(learnt)
    }

    /// The write is done, or given up since the row has changed; `reload` is the newest that has begun.
    pub(crate) fn written(&mut self, reload: u64) {
        if std::mem::take(&mut self.writing_circuit) {
            self.written_during = reload;
        }
    }

    /// The write failed: it is due again, folded with what has been learnt since.
    pub(crate) fn put_back(&mut self, earlier: Learnt) {
        self.writing_circuit = false;
        let since = std::mem::replace(&mut self.learnt, earlier);
        self.dirty = true;
        if let Some(at) = since.succeeded_at {
            self.succeeded(at);
        }
        self.learnt.failures = self.learnt.failures.saturating_add(since.failures);
        self.learnt.failed_at = since.failed_at.or(self.learnt.failed_at);
        self.learnt.error = since.error.or(self.learnt.error.take());
        self.learnt.circuit = since.circuit.or(self.learnt.circuit);
        if since.deferral != Deferral::Keep {
            self.learnt.deferral = since.deferral;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_until_written() {
        let mut record = PendingRecord::default();
        assert!(record.take().is_none());
        record.failed(UnixMicros(1), "a");
        record.succeeded(UnixMicros(2));
        record.failed(UnixMicros(3), "b");
        let learnt = record.take().unwrap();
        assert_eq!((learnt.failures, learnt.error.as_deref()), (1, Some("b")));
        assert_eq!(learnt.succeeded_at, Some(UnixMicros(2)));
        assert!(record.take().is_none());
    }

    #[test]
    fn a_refusal_is_recorded_but_not_counted() {
        let mut record = PendingRecord::default();
        record.refused(UnixMicros(1), "a");
        let learnt = record.take().unwrap();
        assert_eq!((learnt.failures, learnt.failed_at), (0, Some(UnixMicros(1))));
        assert_eq!(learnt.error.as_deref(), Some("a"));
    }

    #[test]
    fn is_listed_once_until_it_is_taken() {
        let mut record = PendingRecord::default();
        assert!(!record.enlist(), "there is nothing to write");
        record.succeeded(UnixMicros(1));
        record.failed(UnixMicros(2), "a");
        assert!(record.enlist() && !record.enlist());
        let learnt = record.take().unwrap();
        assert!(!record.enlist());
        record.put_back(learnt);
        assert!(record.enlist() && !record.enlist());
    }

    #[test]
    fn what_was_read_before_a_change_was_written_is_outdated() {
        let mut record = PendingRecord::default();
        record.failed(UnixMicros(1), "a");
        record.take().unwrap();
        record.written(1);
        assert!(!record.outdates(1), "nothing but a change of the circuit counts");
        record.circuit(Circuit::Tripped);
        record.take().unwrap();
        record.written(2);
        assert!(record.outdates(2) && !record.outdates(3));
    }

    #[test]
    fn a_failed_write_is_folded_with_what_came_since() {
        let mut record = PendingRecord::default();
        record.failed(UnixMicros(1), "a");
        record.circuit(Circuit::Tripped);
        record.deferral(Deferral::Until(UnixMicros(7)));
        let learnt = record.take().unwrap();
        assert!(record.has_circuit());
        record.failed(UnixMicros(2), "b");
        record.put_back(learnt);
        let learnt = record.take().unwrap();
        assert_eq!((learnt.failures, learnt.failed_at), (2, Some(UnixMicros(2))));
        assert_eq!(learnt.deferral, Deferral::Until(UnixMicros(7)));
        assert_eq!(learnt.circuit, Some(Circuit::Tripped));
    }
}
