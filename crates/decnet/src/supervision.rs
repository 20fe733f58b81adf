//! What a daemon tells the service manager that started it (`sd_notify(3)`): that it is ready, that its loops still
//! turn, what it is doing, and that it stops. Without a manager (`NOTIFY_SOCKET` is not set) nothing happens.
//!
//! The units take messages from the main process alone (`NotifyAccess=main`), so nothing that a daemon might start can
//! speak in its name.

use std::time::Duration;

use decnet_core::limits::{PULSE_INTERVAL, RESCUE_EXTENSION, STATUS_INTERVAL};
use decnet_core::pulse::Pulse;
use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often a start is looked at until the daemon is ready.
const READY_CHECK: Duration = Duration::from_millis(20);

/// A daemon, as the service manager sees it.
pub(crate) struct Service {
    /// The loops that must turn; the daemon is ready when each has begun.
    pub(crate) pulses: Vec<Pulse>,
    /// What it is doing, in a line.
    pub(crate) status: Box<dyn Fn() -> String + Send + Sync>,
}

/// Reports for as long as it is held.
#[must_use = "the service manager hears of the daemon only while this is held"]
pub(crate) struct Reporting(Option<JoinHandle<()>>);

impl Drop for Reporting {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
            // Said here, because a daemon with nothing to finish is gone before the task has its turn.
            Manager::default().tell(&[NotifyState::Stopping]);
        }
    }
}

impl Service {
    /// Reports from a task of this runtime, which must be the one whose thread does the work: a thread that hangs
    /// says nothing.
    pub(crate) fn report(self, shutdown: CancellationToken) -> Reporting {
        self.report_saving(shutdown, watch::channel(false).1)
    }

    /// Reports in the same way. While `is_saving` is true after the end began, the manager is asked for more time.
    pub(crate) fn report_saving(
        self,
        shutdown: CancellationToken,
        is_saving: watch::Receiver<bool>,
    ) -> Reporting {
        let is_managed = std::env::var_os("NOTIFY_SOCKET").is_some();
        Reporting(is_managed.then(|| tokio::spawn(self.attend(shutdown, is_saving))))
    }

    async fn attend(self, shutdown: CancellationToken, is_saving: watch::Receiver<bool>) {
        let mut manager = Manager::default();
        tokio::select! {
            () = self.ready() => manager.tell(&[NotifyState::Ready]),
            () = shutdown.cancelled() => {}
        }
        let mut seen = Vec::new();
        let mut ticks = interval(interval_of(sd_notify::watchdog_enabled()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = shutdown.cancelled() => break,
            }
            let now = self.beats();
            if has_advanced(&seen, &now) {
                manager.tell(&[NotifyState::Watchdog, NotifyState::Status(&(self.status)())]);
            } else {
                tracing::error!(
                    "a loop of this daemon does not turn; the service manager is not told that it lives"
                );
            }
            seen = now;
        }
        manager.tell(&[NotifyState::Stopping, NotifyState::Status("stopping: finishing what is in flight")]);
        // The stop has a bound of its own; until then this thread's turn is the sign of life.
        loop {
            manager.tell(&[NotifyState::Watchdog]);
            if *is_saving.borrow() {
                manager.tell(&[extension(), NotifyState::Status("stopping: saving the queue")]);
            }
            ticks.tick().await;
        }
    }

    async fn ready(&self) {
        while self.pulses.iter().any(|pulse| pulse.beats() == 0) {
            sleep(READY_CHECK).await;
        }
    }

    fn beats(&self) -> Vec<u64> {
        self.pulses.iter().map(Pulse::beats).collect()
    }
}

/// More time for the end (`EXTEND_TIMEOUT_USEC`).
fn extension() -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(RESCUE_EXTENSION.as_micros()).unwrap_or(u32::MAX))
}

/// A third of what the manager allows, so that one late report does no harm, and at least as often as the status is
/// told; but never so often that a loop that lives has not beaten in between.
fn interval_of(watchdog: Option<Duration>) -> Duration {
    watchdog.map_or(STATUS_INTERVAL, |allowed| (allowed / 3).clamp(2 * PULSE_INTERVAL, STATUS_INTERVAL))
}

/// Has every loop turned since?
fn has_advanced(seen: &[u64], now: &[u64]) -> bool {
    seen.iter().zip(now).all(|(seen, now)| seen < now)
}

/// The way to the manager; that it cannot be reached is said once.
#[derive(Default)]
struct Manager {
    has_failed: bool,
}

impl Manager {
    fn tell(&mut self, states: &[NotifyState<'_>]) {
        let told = sd_notify::notify(states);
        if let Err(error) = &told
            && !self.has_failed
        {
            tracing::warn!(%error, "the service manager cannot be told that the daemon is well");
        }
        self.has_failed = told.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_hangs_is_enough_to_be_silent() {
        assert!(has_advanced(&[1, 5], &[2, 6]) && has_advanced(&[], &[]));
        assert!(!has_advanced(&[1, 5], &[2, 5]));
    }

    #[test]
    fn reports_come_well_within_what_the_manager_allows() {
        let of = |secs| interval_of(Some(Duration::from_secs(secs)));
        assert_eq!([of(6), of(15), of(60)].map(|every| every.as_secs()), [2, 5, 10]);
        assert_eq!(interval_of(None), STATUS_INTERVAL);
    }
}
