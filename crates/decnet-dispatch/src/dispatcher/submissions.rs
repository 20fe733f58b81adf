//! What other processes and threads have submitted, taken piece by piece: read, routed, admitted, then the next.
//!
//! One piece is under way at a time, so that the order stays and memory is bounded; while what is to be committed is at
//! its bound, the next one waits. What is read and not yet admitted is still in the queue.

use decnet_store::queue::Taken;

use super::admission::Provenance;
use super::{Dispatcher, Done};

/// How far the worker is with what was submitted.
#[derive(Debug, Default)]
pub(super) struct Submissions {
    /// A piece is being read, or held until the subscriptions are.
    reading: bool,
    /// Writes of the last piece that are not committed yet.
    admitting: usize,
    /// There may be more.
    asked: bool,
}

impl Dispatcher {
    /// Something may have been submitted.
    pub(super) fn take_submitted(&mut self) {
        self.submissions.asked = true;
        self.take_submitted_if_asked();
    }

    pub(super) fn take_submitted_if_asked(&mut self) {
        let Submissions { reading, admitting, asked } = self.submissions;
        if !asked || reading || admitting > 0 || self.admits_enough() || self.stopping {
            return;
        }
        self.submissions = Submissions { reading: true, ..Submissions::default() };
        let queue = self.queue.clone();
        self.write(async move { queue.submitted().await }, Done::Submitted);
    }

    pub(super) fn submitted(&mut self, taken: Taken) {
        self.writes -= 1;
        if self.stopping {
            return;
        }
        if let Some(taken) = self.holds_piece(taken) {
            self.admit_piece(taken);
        }
    }

    /// Routes and admits a piece whose changes are applied.
    pub(super) fn admit_piece(&mut self, taken: Taken) {
        self.submissions.reading = false;
        self.submissions.asked |= taken.more;
        self.stats.received.add(taken.events.len() as u64);
        let events = taken.events.into_iter().map(|(id, event)| (Some(id), event));
        self.submissions.admitting = self.admit_from(events, &Provenance::Submitted);
        self.take_submitted_if_asked();
    }

    /// A write of the last piece is committed.
    pub(super) fn submissions_admitted(&mut self) {
        self.submissions.admitting -= 1;
    }
}
