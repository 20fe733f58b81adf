//! Warnings about what this host lacks, so that an operator sees the cause of deliveries that wait.

use std::time::Instant;

use decnet_core::limits::LOCAL_FAULT_LOG_INTERVAL;

/// Limits how often such faults are logged: each subscription may meet one a second.
#[derive(Debug, Default)]
pub(crate) struct LocalFaults {
    logged_at: Option<Instant>,
    /// Faults since then.
    unlogged: u64,
}

impl LocalFaults {
    /// Logs a fault, unless one was logged within [`LOCAL_FAULT_LOG_INTERVAL`]; then it is counted.
    pub(crate) fn report(&mut self, error: &str, now: Instant) {
        if self.logged_at.is_some_and(|at| now.duration_since(at) < LOCAL_FAULT_LOG_INTERVAL) {
            self.unlogged += 1;
            return;
        }
        let before = std::mem::take(&mut self.unlogged);
        tracing::warn!(
            error,
            unlogged = before,
            "this host cannot send; deliveries wait, and receivers are not blamed"
        );
        self.logged_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn faults_are_logged_once_an_interval_and_counted_between() {
        let (mut faults, begun) = (LocalFaults::default(), Instant::now());
        let mut logged = Vec::new();
        for second in 0..150 {
            let now = begun + Duration::from_secs(second);
            faults.report("too many open files", now);
            logged.extend((faults.logged_at == Some(now)).then_some(second));
        }
        assert_eq!((logged, faults.unlogged), (vec![0, 60, 120], 29));
    }
}
