//! Retention, and the end of the deliveries of deleted subscriptions. Both work in small steps between other jobs of the
//! queue.

use std::sync::Arc;
use std::time::Duration;

use decnet_core::delivery::Reason;
use decnet_store::queue::{Pruned, Queue, Retention, SubscriptionKey};
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use super::Dispatcher;
use super::writes::WriteResult;
use crate::lane::Lane;
use crate::lane_state::LaneState;

/// The shortest pause between two steps.
const MIN_PAUSE: Duration = Duration::from_millis(2);
/// The longest pause between two steps.
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// A pass of retention: steps, one at a time, until the queue reports that it is complete.
#[derive(Debug, Default)]
pub(super) struct RetentionPass {
    is_running: bool,
    /// The subscriptions that were not open when the pass started, and have not been opened since.
    parked: Arc<FxHashSet<SubscriptionKey>>,
    /// The scheduled start of the current step.
    step_starts_at: Option<Instant>,
    /// Parked deliveries that this pass has removed because of the queue's size.
    removed_parked: u64,
    log: QueueSizeLog,
}

/// The messages about the queue's size. A message is repeated only after the size has been within the bound.
#[derive(Debug, Default, PartialEq, Eq)]
struct QueueSizeLog {
    /// The number of parked deliveries removed since the removal was logged.
    removed_parked: Option<u64>,
    /// Whether it was logged that nothing is left to remove.
    is_full_logged: bool,
}

impl Dispatcher {
    /// Starts a pass of retention, unless a pass is running.
    pub(super) fn start_retention(&mut self) {
        if std::mem::replace(&mut self.retention.is_running, true) {
            return;
        }
        let parked = self.lanes.values().filter(|lane| !lane.is_open()).map(|lane| lane.key);
        self.retention.parked = Arc::new(parked.collect());
        self.prune_after(Duration::ZERO);
    }

    /// Runs one step after a pause, in which the queue does other jobs.
    fn prune_after(&mut self, pause: Duration) {
        let parked = Arc::clone(&self.retention.parked);
        let policy = Retention { parked, ..self.options.retention.clone() };
        self.retention.step_starts_at = Some(Instant::now() + pause);
        let clock = self.clock.clone();
        let step = async move |queue: Queue| {
            tokio::time::sleep(pause).await;
            queue.prune(policy, clock.trusted_now()).await
        };
        self.spawn_write(step, WriteResult::Pruned);
    }

    pub(super) fn on_pruned(&mut self, step: &Pruned) {
        self.stats.count_dead(Reason::Expired, step.expired + step.parked);
        self.stats.expired.add(step.expired + step.parked);
        self.census.is_stale |= step.expired + step.parked + step.dead > 0;
        self.retention.removed_parked += step.parked;
        if step.more && !self.is_stopping {
            // A pause of twice the duration of the step leaves most commits to other jobs.
            let duration = self.retention.step_starts_at.map_or(Duration::ZERO, |at| at.elapsed());
            return self.prune_after((duration * 2).clamp(MIN_PAUSE, MAX_PAUSE));
        }
        self.retention.finish(step, self.options.retention.max_bytes);
    }

    /// Ends the waiting deliveries of a deleted subscription, in steps.
    pub(super) fn discard(&mut self, key: SubscriptionKey) {
        let now = self.clock.admission();
        self.spawn_write(
            async move |queue| queue.discard(key, now).await,
            move |more| WriteResult::Discarded(key, more),
        );
    }

    /// Continues with the next step, or removes the lane once it is idle.
    pub(super) fn on_discarded(&mut self, key: SubscriptionKey, more: bool) {
        // There is no lane if the subscription was deleted before the worker started.
        let lane = self.lanes.get(&key);
        // A restored row keeps the lane, also if the row was skipped and the lane is still in the state `Deleted`.
        if lane.is_some_and(|lane| lane.state != LaneState::Deleted || !self.reload.is_rowless(key)) {
            return;
        }
        if more && !self.is_stopping {
            self.discard(key);
        } else if lane.is_some_and(Lane::is_idle) {
            self.lanes.remove(&key);
        }
    }
}

impl RetentionPass {
    /// Removes an opened subscription from the parked subscriptions, starting with the next step.
    pub(super) fn unpark(&mut self, key: SubscriptionKey) {
        if self.parked.contains(&key) {
            // The set is copied at most once per step, because it is shared only with the step that is running.
            Arc::make_mut(&mut self.parked).remove(&key);
        }
    }

    fn finish(&mut self, last: &Pruned, max_bytes: u64) {
        self.is_running = false;
        self.parked = Arc::default();
        let removed = std::mem::take(&mut self.removed_parked);
        self.log.log_removed_parked(removed, max_bytes);
        self.log.log_full(last, max_bytes);
    }
}

impl QueueSizeLog {
    fn log_removed_parked(&mut self, deliveries: u64, max_bytes: u64) {
        match (deliveries, &mut self.removed_parked) {
            (0, logged) => {
                if let Some(deliveries) = logged.take().filter(|more| *more > 0) {
                    tracing::warn!(
                        deliveries,
                        "more of the oldest parked deliveries have been removed since the last warning"
                    );
                }
            }
            (_, Some(more)) => *more += deliveries,
            (_, logged) => {
                tracing::warn!(
                    deliveries,
                    max_bytes,
                    "the queue exceeds its maximum size: the oldest parked deliveries were removed; enable or delete \
                     their subscriptions, or raise DECNET_WEBHOOK_RETAIN_BYTES"
                );
                *logged = Some(0);
            }
        }
    }

    fn log_full(&mut self, last: &Pruned, max_bytes: u64) {
        if !last.only_live_left {
            self.is_full_logged = false;
        } else if !std::mem::replace(&mut self.is_full_logged, true) {
            tracing::warn!(
                bytes = last.bytes,
                max_bytes,
                "the queue exceeds its maximum size, but only deliveries that are not final are left; raise \
                 DECNET_WEBHOOK_RETAIN_BYTES, or see `decnet delivery list`"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(only_live_left: bool) -> Pruned {
        Pruned { bytes: 11, only_live_left, ..Pruned::default() }
    }

    #[test]
    fn full_queue_is_logged_once_until_it_was_not_full() {
        let mut pass = RetentionPass::default();
        let logged: Vec<bool> = [true, true, false, true]
            .map(|only_live_left| {
                let before = pass.log.is_full_logged;
                pass.finish(&step(only_live_left), 10);
                pass.log.is_full_logged && !before
            })
            .into();
        assert_eq!(logged, [true, false, false, true]);
    }

    #[test]
    fn removals_are_logged_once_and_then_counted() {
        let mut pass = RetentionPass::default();
        let counts = [5, 3, 2, 0, 4].map(|removed| {
            pass.removed_parked = removed;
            pass.finish(&step(false), 10);
            pass.log.removed_parked
        });
        assert_eq!(counts, [Some(0), Some(3), Some(5), None, Some(0)]);
    }

    #[test]
    fn opened_subscription_is_not_parked_in_the_next_step() {
        let keys = [1, 2].map(SubscriptionKey);
        let mut pass =
            RetentionPass { parked: Arc::new(keys.into_iter().collect()), ..RetentionPass::default() };
        let running_step = Arc::clone(&pass.parked);
        pass.unpark(keys[0]);
        assert_eq!(pass.parked.iter().collect::<Vec<_>>(), [&keys[1]]);
        assert_eq!(running_step.len(), 2);
    }
}
