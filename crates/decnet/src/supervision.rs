//! Notifications of a daemon to its service manager (`sd_notify(3)`): ready, watchdog, status and stopping. Without a
//! manager (`NOTIFY_SOCKET` is not set) nothing is sent.
//!
//! The units accept messages from the main process only (`NotifyAccess=main`), so no child process can send them.

use std::time::Duration;

use decnet_core::limits::{LIVENESS_INTERVAL, STATUS_INTERVAL, STOP_TIMEOUT_EXTENSION};
use decnet_runtime::liveness::Liveness;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The interval of checks whether the daemon is ready.
const READY_CHECK: Duration = Duration::from_millis(20);

/// The observable state of a daemon.
pub(crate) struct Service {
    /// The loops that must be alive; the daemon is ready once each has begun.
    pub(crate) liveness: Vec<Liveness>,
    /// The function that returns the status in one line.
    pub(crate) status: Box<dyn Fn() -> String + Send + Sync>,
    /// Whether the queue is being saved, which may take longer than the usual time to stop.
    pub(crate) is_saving: Option<watch::Receiver<bool>>,
}

/// Sends notifications until it is dropped.
#[must_use = "notifications are sent only while this is held"]
pub(crate) struct Reporting(Option<JoinHandle<()>>);

impl Drop for Reporting {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            // Sent here, because a daemon with nothing to finish exits before the task runs again.
            Manager::default().notify(&[NotifyState::Stopping]);
        }
    }
}

impl Service {
    /// Sends notifications from a task of this runtime. It must be the runtime that does the work, so that no
    /// notification is sent if its thread hangs.
    pub(crate) fn report(self, shutdown: CancellationToken) -> Reporting {
        let is_managed = std::env::var_os("NOTIFY_SOCKET").is_some();
        Reporting(is_managed.then(|| tokio::spawn(self.run(shutdown))))
    }

    async fn run(self, shutdown: CancellationToken) {
        let mut manager = Manager::default();
        tokio::select! {
            () = self.ready() => manager.notify(&[NotifyState::Ready]),
            () = shutdown.cancelled() => {}
        }
        let mut previous = Vec::new();
        let mut ticks = interval(interval_of(sd_notify::watchdog_enabled()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            let now = self.turns();
            if has_advanced(&previous, &now) {
                manager.notify(&[NotifyState::Watchdog, NotifyState::Status(&(self.status)())]);
            } else {
                tracing::error!(
                    "a loop of this daemon is stuck; no watchdog notification is sent to the service manager"
                );
            }
            previous = now;
        }
        manager
            .notify(&[NotifyState::Stopping, NotifyState::Status("stopping: finishing requests in flight")]);
        // The shutdown has its own time limit; until then the progress of this thread is the liveness signal.
        loop {
            manager.notify(&[NotifyState::Watchdog]);
            if self.is_saving.as_ref().is_some_and(|is_saving| *is_saving.borrow()) {
                manager.notify(&[extension(), NotifyState::Status("stopping: saving the queue")]);
            }
            ticks.tick().await;
        }
    }

    async fn ready(&self) {
        while self.liveness.iter().any(|liveness| liveness.turns() == 0) {
            sleep(READY_CHECK).await;
        }
    }

    fn turns(&self) -> Vec<u64> {
        self.liveness.iter().map(Liveness::turns).collect()
    }
}

/// Returns the request for more time to stop (`EXTEND_TIMEOUT_USEC`).
fn extension() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(STOP_TIMEOUT_EXTENSION.as_micros()).unwrap_or(u32::MAX))
}

/// Returns the notification interval: a third of the watchdog timeout, so that a late notification is harmless, at most
/// the status interval, and long enough for a live loop to turn in between.
fn interval_of(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(STATUS_INTERVAL, |allowed| (allowed / 3).clamp(2 * LIVENESS_INTERVAL, STATUS_INTERVAL))
}

/// Returns whether every loop has made progress since the previous check.
fn has_advanced(previous: &[u64], now: &[u64]) -> bool {
    previous.iter().zip(now).all(|(previous, now)| previous < now)
}

/// The connection to the manager. A failure is logged once.
#[derive(Default)]
struct Manager {
    has_failed: bool,
}

impl Manager {
    fn notify(&mut self, states: &[NotifyState<'_>]) {
        let sent = sd_notify::notify(states);
        if let Err(error) = &sent
            && !self.has_failed
        {
            tracing::warn!(%error, "cannot notify the service manager");
        }
        self.has_failed = sent.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_stuck_loop_stops_notifications() {
        assert!(has_advanced(&[1, 5], &[2, 6]) && has_advanced(&[], &[]));
        assert!(!has_advanced(&[1, 5], &[2, 5]));
    }

    #[test]
    fn the_interval_is_well_within_the_watchdog_timeout() {
        let of = |secs| interval_of(Some(Duration::from_secs(secs)));
        assert_eq!([of(6), of(15), of(60)].map(|every| every.as_secs()), [2, 5, 10]);
        assert_eq!(interval_of(None), STATUS_INTERVAL);
    }
}
