//! Watches the system's wall clock, so that a step of it delays nothing and removes nothing.
//!
//! What waits in memory goes by the boot clock and does not notice a step. The worker's own time goes on through it, and
//! removal by age pauses until the wall clock agrees with it again, or an operator confirms the wall clock
//! (`decnet clock --confirm`). Then the worker's time is corrected, and so are the times in the queue that would be wrong.

use std::time::Duration;

use decnet_core::clock::{Agreement, Reading};
use decnet_core::limits::{CLOCK_NOTE_INTERVAL, CLOCK_TOLERANCE, MAX_RETRY_WAIT};
use decnet_core::time::BootMicros;
use decnet_store::queue::{Corrected, Correction, KnownTimes};

use super::{Dispatcher, Done};
use crate::clock::Clock;

/// A difference that is worth a message, though the clock is trusted all the same.
const NOTEWORTHY_STEP: Duration = Duration::from_secs(1);

/// What is known of the wall clock.
#[derive(Debug)]
pub(super) struct Timekeeping {
    /// The last reading at which it was trusted.
    trusted: Reading,
    is_doubt_logged: bool,
    /// The one that stands in the queue; read back, it is not an operator's.
    noted: Option<Reading>,
    is_noting: bool,
    note_at: BootMicros,
    /// How far it was ahead of the worker's time at the last look, in microseconds.
    difference: i64,
    /// Rows that the correction under way has changed.
    corrected: usize,
}

impl Timekeeping {
    /// Lets the clock go on from what the queue knows about the time.
    pub(super) fn start(clock: &Clock, known: KnownTimes) -> Self {
        let now = clock.reading();
        let trusted = Reading::last_known(known.trusted, known.newest, &now);
        clock.set(trusted.resume(&now));
        // From now on, so that nothing is removed before the first look; that one logs it.
        clock.judge(trusted.agreement(&now));
        Self {
            trusted,
            is_doubt_logged: false,
            noted: known.trusted,
            is_noting: false,
            note_at: BootMicros(0),
            difference: clock.difference(),
            corrected: 0,
        }
    }
}

impl Dispatcher {
    /// Compares the wall clock with the boot clock; once a second.
    pub(super) fn check_clock(&mut self) {
        let reading = self.clock.reading();
        let agreement = self.time.trusted.agreement(&reading);
        let was_in_doubt = self.clock.judge(agreement);
        match agreement {
            Agreement::Agrees => self.clock_agrees(reading, was_in_doubt),
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
            "the system clock is {how} the time expected since it was last trusted; deliveries continue, but nothing is removed \
             by age until the clock agrees again; check it, and if it is right, run `decnet clock --confirm`"
        );
    }

    fn clock_agrees(&mut self, reading: Reading, was_in_doubt: bool) {
        self.time.is_doubt_logged = false;
        let difference = self.clock.difference();
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
            self.clock.follow();
            if was_in_doubt {
                self.check_stored_times();
            }
        }
        self.time.difference = self.clock.difference();
        self.time.trusted = reading;
        self.note_time();
    }

    /// Sets the worker's time to the wall clock's. Where that is earlier, stored retries would be due too late by as much: they
    /// are due now.
    fn correct_clock(&mut self, difference: i64) {
        // They are due by the time as it was.
        self.submit_settlements();
        self.clock.correct();
        let now = self.clock.now();
        let latest_due = if difference < 0 { now } else { now.after(MAX_RETRY_WAIT) };
        self.correct_times(Correction::new(now, latest_due));
    }

    /// Puts right what was stored while the clock was wrong: after a start, and when the clock is trusted again.
    pub(super) fn check_stored_times(&mut self) {
        let now = self.clock.now();
        self.correct_times(Correction::new(now, now.after(MAX_RETRY_WAIT)));
    }

    fn correct_times(&mut self, what: Correction) {
        let queue = self.queue.clone();
        self.write(async move { queue.correct_times(what).await }, Done::Corrected);
    }

    pub(super) fn corrected(&mut self, Corrected { rows, next }: Corrected) {
        self.writes -= 1;
        self.time.corrected += rows;
        if self.stopping {
            return;
        }
        if let Some(next) = next {
            return self.correct_times(next);
        }
        let rows = std::mem::take(&mut self.time.corrected);
        if rows > 0 {
            tracing::info!(rows, "corrected times in the queue that were stored while the clock was wrong");
            self.look_for_waiting();
        }
    }

    /// An operator may have confirmed the wall clock: another process has noted a time that is not ours.
    pub(super) fn clock_confirmed(&mut self, stored: Option<Reading>) {
        let Some(confirmed) = stored.filter(|_| stored != self.time.noted && !self.time.is_noting) else {
            return;
        };
        tracing::info!(
            system_time = confirmed.wall.to_iso8601(),
            "an operator has confirmed the system clock"
        );
        (self.time.trusted, self.time.noted) = (confirmed, stored);
        self.check_clock();
    }

    /// Notes the trusted time in the queue, so that the next worker can tell a clock that was set meanwhile.
    fn note_time(&mut self) {
        let (uptime, trusted) = (self.clock.uptime(), self.time.trusted);
        if self.time.is_noting || uptime < self.time.note_at || self.stopping {
            return;
        }
        self.time.is_noting = true;
        self.time.note_at = uptime.after(CLOCK_NOTE_INTERVAL);
        self.time.noted = Some(trusted);
        let queue = self.queue.clone();
        self.write(async move { queue.note_time(trusted).await }, |()| Done::TimeNoted);
    }

    pub(super) fn time_noted(&mut self) {
        self.writes -= 1;
        self.time.is_noting = false;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
