//! Polls for writes to the queue by other processes: submitted events, redeliveries, erasures, changes of the
//! subscriptions, and confirmations of the clock. Without a bus these processes cannot notify the worker.

use decnet_core::clock::Reading;
use decnet_store::queue::{Error, Queue, SubscriptionKey};

use super::Dispatcher;
use super::writes::WriteResult;

/// The state of the poll. Polls run one at a time: a result that arrived out of order would report a change twice.
#[derive(Debug, Default)]
pub(super) struct ExternalChangePoll {
    is_running: bool,
    /// Whether another poll was requested since the running one started.
    is_requested: bool,
    /// The queue's count of erasures at the last poll.
    pub(super) erasures: i64,
}

/// The counters and the clock reading by which other processes report their changes, as read by one poll.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExternalChanges {
    /// The number of all erasures in the queue's lifetime.
    erasures: i64,
    /// The number of all changes of the subscriptions in the queue's lifetime.
    changes: i64,
    /// The last trusted reading of the clocks, which an operator may have confirmed.
    trusted: Option<Reading>,
}

impl ExternalChangePoll {
    /// Returns whether a poll may start now. Otherwise another poll follows the running poll.
    fn start(&mut self) -> bool {
        self.is_requested = std::mem::replace(&mut self.is_running, true);
        !self.is_requested
    }

    /// Ends the running poll. Returns whether another poll was requested.
    fn finish(&mut self) -> bool {
        self.is_running = false;
        std::mem::take(&mut self.is_requested)
    }
}

impl ExternalChanges {
    /// Reads the counts, if another process has written since the last call.
    async fn read(queue: Queue) -> Result<Option<Self>, Error> {
        if !queue.changed_elsewhere().await? {
            return Ok(None);
        }
        let (erasures, changes) = (queue.erasures().await?, queue.catalog_changes().await?);
        Ok(Some(Self { erasures, changes, trusted: queue.recorded_times().await?.trusted }))
    }
}

impl Dispatcher {
    pub(super) fn poll_external_changes(&mut self) {
        if self.external_changes.start() {
            self.spawn_write(ExternalChanges::read, WriteResult::ExternalChanges);
        }
    }

    pub(super) fn on_external_changes(&mut self, changes: Option<ExternalChanges>) {
        let is_requested = self.external_changes.finish();
        self.census.is_stale |= changes.is_some();
        if self.is_stopping {
            return;
        }
        if let Some(changes) = changes {
            self.apply_external_changes(changes);
        }
        if is_requested {
            self.poll_external_changes();
        }
    }

    fn apply_external_changes(&mut self, ExternalChanges { erasures, changes, trusted }: ExternalChanges) {
        self.on_recorded_time(trusted);
        if self.freshness.lacks(changes) {
            self.reload_unless_running();
        }
        if std::mem::replace(&mut self.external_changes.erasures, erasures) != erasures {
            self.drop_payloads_in_memory();
        }
        self.find_backlogs();
        self.take_submitted();
    }

    /// Makes every lane spill to the queue and claim the deliveries that are left there after an erasure. Requests in flight
    /// continue; the settlement of an erased delivery changes nothing.
    fn drop_payloads_in_memory(&mut self) {
        tracing::info!("payloads were erased; reading the waiting deliveries again");
        let keys: Vec<SubscriptionKey> = self.lanes.values().map(|lane| lane.key).collect();
        for key in keys {
            self.spill_to_queue(key);
            self.refill(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_poll_runs_at_a_time_and_one_follows_for_all_requests() {
        let mut poll = ExternalChangePoll::default();
        let started = [(); 4].map(|()| poll.start());
        assert_eq!(started, [true, false, false, false]);
        assert!(poll.finish() && poll.start());
        assert!(!poll.finish());
    }
}
