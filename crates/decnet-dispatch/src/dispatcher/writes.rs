//! Jobs of the queue's writer thread: how they are started, and what their results lead to.

use decnet_core::limits::MAX_UNCOMMITTED_ROWS;
use decnet_store::queue::{self, Corrected, Pruned, SubmittedEvents, SubscriptionBacklog, SubscriptionKey};

use super::admission::AdmittedBatch;
use super::claims::ClaimedFor;
use super::external_changes::ExternalChanges;
use super::settlements::Settled;
use super::{Dispatcher, Done};

/// The result of a job.
pub(super) enum WriteResult {
    Admitted(AdmittedBatch),
    Claimed(ClaimedFor),
    Settled(Settled),
    Released(SubscriptionKey),
    Submitted(SubmittedEvents),
    Backlogs(Vec<SubscriptionBacklog>),
    /// `None`: no other process has written since the last poll.
    ExternalChanges(Option<ExternalChanges>),
    Pruned(Pruned),
    Discarded {
        key: SubscriptionKey,
        more: bool,
    },
    TimesCorrected(Corrected),
    TimeRecorded,
}

/// The jobs whose results have not arrived yet.
#[derive(Debug, Default)]
pub(super) struct WritesInFlight {
    jobs: usize,
    /// The rows that those of them insert which admit events.
    admission_rows: usize,
}

impl WritesInFlight {
    pub(super) fn is_empty(&self) -> bool {
        self.jobs == 0
    }

    /// Returns whether so many rows are to be committed that the intake must wait. The intake bounds bodies, this bounds
    /// recipients.
    pub(super) fn is_admission_full(&self) -> bool {
        self.admission_rows >= MAX_UNCOMMITTED_ROWS
    }

    pub(super) fn start_admission(&mut self, rows: usize) {
        self.admission_rows += rows;
    }

    pub(super) fn finish_admission(&mut self, rows: usize) {
        self.admission_rows -= rows;
    }
}

impl Dispatcher {
    /// Starts a job whose result `then` goes to the inbox.
    pub(super) fn spawn_write<T: 'static>(
        &mut self,
        job: impl Future<Output = Result<T, queue::Error>> + 'static,
        then: impl FnOnce(T) -> WriteResult + 'static,
    ) {
        self.writes.jobs += 1;
        let inbox = self.inbox.clone();
        tokio::task::spawn_local(async move {
            inbox.put(job.await.map_or_else(Done::QueueFailed, |result| Done::Write(then(result))));
        });
    }

    pub(super) fn on_write(&mut self, result: WriteResult) {
        self.writes.jobs -= 1;
        match result {
            WriteResult::Admitted(batch) => self.on_admitted(&batch),
            WriteResult::Claimed(claimed) => self.on_claimed(claimed),
            WriteResult::Settled(settled) => self.on_settled(settled),
            WriteResult::Released(key) => self.on_released(key),
            WriteResult::Submitted(events) => self.on_submitted(events),
            WriteResult::Backlogs(backlogs) => self.on_backlogs(&backlogs),
            WriteResult::ExternalChanges(changes) => self.on_external_changes(changes),
            WriteResult::Pruned(step) => self.on_pruned(&step),
            WriteResult::Discarded { key, more } => self.on_discarded(key, more),
            WriteResult::TimesCorrected(corrected) => self.on_times_corrected(corrected),
            WriteResult::TimeRecorded => self.on_time_recorded(),
        }
    }
}
