//! Checks the system's wall clock, so that a step of the clock neither delays nor removes a delivery.
//!
//! Timers in memory use the boot clock and are not affected by a step. The worker's own time continues through it, and
//! removal by age pauses until the wall clock agrees with it again, or an operator confirms the wall clock
//! (`decnet clock --confirm`). Then the worker's time is corrected, and so are the times in the queue that would be wrong.

use std::time::Duration;

use decnet_core::clock::{Agreement, Reading};
use decnet_core::limits::{CLOCK_RECORD_INTERVAL, CLOCK_TOLERANCE, MAX_RETRY_WAIT};
use decnet_core::time::BootMicros;
use decnet_store::queue::{Corrected, Correction, RecordedTimes};

use super::Dispatcher;
use super::writes::WriteResult;
use decnet_runtime::clock::Clock;

/// The smallest step of a trusted clock that is logged.
const NOTEWORTHY_STEP: Duration = Duration::from_secs(1);

/// The state of the clock check.
#[derive(Debug)]
pub(super) struct Timekeeping {
    /// The last reading at which the wall clock was trusted.
    trusted: Reading,
    is_doubt_logged: bool,
    /// The reading that the worker has recorded in the queue. A different reading in the queue was recorded by an operator.
    recorded: Option<Reading>,
    pub(super) is_recording: bool,
    record_at: BootMicros,
    /// The wall clock minus the worker's time at the last check, in microseconds.
    difference: i64,
    /// The rows that the running correction has changed.
    corrected: usize,
}

impl Timekeeping {
    /// Sets the clock to continue from the times in the queue.
    pub(super) fn start(clock: &Clock, recorded: RecordedTimes) -> Self {
        let now = clock.reading();
        let trusted = Reading::last_known(recorded.trusted, recorded.newest, &now);
        clock.set(trusted.resume(&now));
        // Before the first check, so that nothing is removed until then; the check logs the result.
        clock.set_agreement(trusted.agreement(&now));
        Self {
            trusted,
            is_doubt_logged: false,
            recorded: recorded.trusted,
            is_recording: false,
            record_at: BootMicros(0),
            difference: clock.difference(),
            corrected: 0,
        }
    }
}

impl Dispatcher {
    /// Compares the wall clock with the boot clock.
    pub(super) fn check_clock(&mut self) {
        let reading = self.clock.reading();
        let agreement = self.time.trusted.agreement(&reading);
        let was_in_doubt = self.clock.set_agreement(agreement);
        match agreement {
            Agreement::Agrees => self.trust_clock(reading, was_in_doubt),
            Agreement::Ahead(by) => self.doubt_clock(reading, "ahead of", by),
            Agreement::Behind(by) => self.doubt_clock(reading, "behind", by),
        }
    }

    fn doubt_clock(&mut self, reading: Reading, how: &str, by: Duration) {
        if std::mem::replace(&mut self.time.is_doubt_logged, true) {
            return;
        }
        tracing::warn!(
            system_time = reading.wall.to_iso8601(),
            expected_time = self.time.trusted.expected_at(&reading).to_iso8601(),
            seconds = by.as_secs(),
            "the system clock is {how} the time expected since it was last trusted; deliveries continue, but nothing is \
             removed by age until the clock agrees again; check it, and if it is right, run `decnet clock --confirm`"
        );
    }

    fn trust_clock(&mut self, reading: Reading, was_in_doubt: bool) {
        self.time.is_doubt_logged = false;
        let difference = self.clock.difference_at(&reading);
        if was_in_doubt {
            tracing::info!("the system clock is trusted again; removal by age continues");
        } else if difference.abs_diff(self.time.difference) >= micros(NOTEWORTHY_STEP) {
            tracing::info!(
                milliseconds = difference / 1000,
                "the system clock was set; deliveries are not affected"
            );
        }
        if difference.unsigned_abs() > micros(CLOCK_TOLERANCE) {
            self.correct_clock(difference);
        } else {
            self.clock.follow(difference);
            if was_in_doubt {
                self.check_stored_times();
            }
        }
        self.time.difference = self.clock.difference_at(&reading);
        self.time.trusted = reading;
        self.record_time();
    }

    /// Sets the worker's time to the wall clock's. If the wall clock is behind, stored retries would be late by the difference,
    /// so they become due now.
    fn correct_clock(&mut self, difference: i64) {
        // The retries of these settlements are computed with the time before the correction.
        self.flush_settlements();
        self.clock.correct(difference);
        let now = self.clock.now();
        let latest_due = if difference < 0 { now } else { now.after(MAX_RETRY_WAIT) };
        self.correct_times(Correction::new(now, latest_due));
    }

    /// Corrects times that were stored while the clock was wrong: after a start, and when the clock is trusted again.
    pub(super) fn check_stored_times(&mut self) {
        let now = self.clock.now();
        self.correct_times(Correction::new(now, now.after(MAX_RETRY_WAIT)));
    }

    fn correct_times(&mut self, correction: Correction) {
        self.spawn_write(
            async move |queue| queue.correct_times(correction).await,
            WriteResult::TimesCorrected,
        );
    }

    pub(super) fn on_times_corrected(&mut self, Corrected { rows, next }: Corrected) {
        self.time.corrected += rows;
        if self.is_stopping {
            return;
        }
        if let Some(next) = next {
            return self.correct_times(next);
        }
        let rows = std::mem::take(&mut self.time.corrected);
        if rows > 0 {
            tracing::info!(rows, "corrected times in the queue that were stored while the clock was wrong");
            self.find_backlogs();
        }
    }

    /// Trusts the reading that is recorded in the queue, if another process has recorded it, because in that case an operator has
    /// confirmed the wall clock.
    pub(super) fn on_recorded_time(&mut self, recorded: Option<Reading>) {
        let is_ours = recorded == self.time.recorded || self.time.is_recording;
        let Some(confirmed) = recorded.filter(|_| !is_ours) else { return };
        tracing::info!(
            system_time = confirmed.wall.to_iso8601(),
            "an operator has confirmed the system clock"
        );
        (self.time.trusted, self.time.recorded) = (confirmed, recorded);
        self.check_clock();
    }

    /// Records the trusted time in the queue, so that the next worker can detect a clock that was set between the two workers.
    fn record_time(&mut self) {
        let (uptime, trusted) = (self.clock.uptime(), self.time.trusted);
        if self.time.is_recording || uptime < self.time.record_at || self.is_stopping {
            return;
        }
        self.time.is_recording = true;
        self.time.record_at = uptime.after(CLOCK_RECORD_INTERVAL);
        self.time.recorded = Some(trusted);
        self.spawn_write(async move |queue| queue.record_time(trusted).await, |()| WriteResult::TimeRecorded);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::super::tests::started;

    #[tokio::test]
    async fn step_during_a_check_does_not_move_the_workers_time() {
        const DAYS: i64 = 40 * 24 * 3_600_000_000;
        let dir = tempfile::tempdir().unwrap();
        let check = async {
            let mut dispatcher = started(dir.path()).await;
            let reading = dispatcher.clock.reading();
            dispatcher.clock.step(DAYS);
            dispatcher.trust_clock(reading, false);
            assert!(dispatcher.clock.difference() > DAYS / 2);
            dispatcher.check_clock();
            assert!(dispatcher.clock.doubt().is_some() && dispatcher.clock.trusted_now().is_none());
        };
        LocalSet::new().run_until(check).await;
    }
}
