//! The jobs of the queue's writer thread: starting them, and applying their results.

use decnet_core::limits::MAX_UNCOMMITTED_ROWS;
use decnet_store::queue::{
    self, Claimed, Corrected, Pruned, Queue, SubmittedEvents, SubscriptionBacklog, SubscriptionKey,
};

use super::admission::AdmittedBatch;
use super::external_changes::ExternalChanges;
use super::settlements::Effect;
use super::{Dispatcher, Done};
use crate::memory_budget::Allowance;

/// The result of a job.
pub(super) enum WriteResult {
    Admitted(AdmittedBatch),
    Claimed(SubscriptionKey, Allowance, Claimed),
    /// The effects of settlements, and whether each was applied. A settlement that was not applied came too late.
    Settled(Vec<Effect>, Vec<bool>),
    Released(SubscriptionKey),
    Submitted(SubmittedEvents),
    /// The subscriptions with waiting deliveries, and the count of changes of the subscriptions.
    Backlogs(Vec<SubscriptionBacklog>, i64),
    /// `None`: no other process has written since the last poll.
    ExternalChanges(Option<ExternalChanges>),
    Pruned(Pruned),
    /// Whether there are more deliveries to discard.
    Discarded(SubscriptionKey, bool),
    TimesCorrected(Corrected),
    TimeRecorded,
}

/// The jobs whose results have not arrived yet.
#[derive(Debug, Default)]
pub(super) struct WritesInFlight {
    pub(super) jobs: usize,
    /// The number of rows that the admissions among these jobs insert.
    pub(super) admission_rows: usize,
}

impl WritesInFlight {
    /// Returns whether the intake must wait because too many rows are uncommitted. The intake limits the bodies, and this method
    /// limits the recipients.
    pub(super) fn is_admission_full(&self) -> bool {
        self.admission_rows >= MAX_UNCOMMITTED_ROWS
    }
}

impl Dispatcher {
    /// Starts a job of the queue, whose result goes to the inbox.
    pub(super) fn spawn_write<T: 'static>(
        &mut self,
        job: impl AsyncFnOnce(Queue) -> Result<T, queue::Error> + 'static,
        then: impl FnOnce(T) -> WriteResult + 'static,
    ) {
        self.writes.jobs += 1;
        let (queue, inbox) = (self.queue.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            inbox.put(job(queue).await.map_or_else(Done::QueueFailed, |result| Done::Write(then(result))));
        });
    }

    pub(super) fn on_write(&mut self, result: WriteResult) {
        self.writes.jobs -= 1;
        match result {
            WriteResult::Admitted(batch) => self.on_admitted(&batch),
            WriteResult::Claimed(key, allowance, claimed) => self.on_claimed(key, allowance, claimed),
            WriteResult::Settled(effects, applied) => self.on_settled(effects, applied),
            WriteResult::Released(key) => self.on_released(key),
            WriteResult::Submitted(events) => self.on_submitted(events),
            WriteResult::Backlogs(backlogs, changes) => self.on_backlogs(&backlogs, changes),
            WriteResult::ExternalChanges(changes) => self.on_external_changes(changes),
            WriteResult::Pruned(step) => self.on_pruned(&step),
            WriteResult::Discarded(key, more) => self.on_discarded(key, more),
            WriteResult::TimesCorrected(corrected) => self.on_times_corrected(corrected),
            WriteResult::TimeRecorded => self.time.is_recording = false,
        }
    }
}
