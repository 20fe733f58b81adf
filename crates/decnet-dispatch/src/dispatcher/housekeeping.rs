//! What goes on beside the deliveries: retention, and the end of deleted subscriptions.

use std::sync::Arc;
use std::time::Duration;

use decnet_core::clock::Reading;
use decnet_store::queue::{Error, Queue, Retained, Retention, SubscriptionKey};
use rustc_hash::FxHashSet;
use tokio::time::Instant;

use super::{Dispatcher, Done};
use crate::lane::Lane;
use crate::status::Status;

/// Bounds of the pause between two steps.
const MIN_PAUSE: Duration = Duration::from_millis(2);
const MAX_PAUSE: Duration = Duration::from_millis(100);

/// A round of retention: steps, one at a time, until the queue says that it is complete.
#[derive(Debug, Default)]
pub(super) struct Round {
    running: bool,
    /// The subscriptions that were not open when the round began, and have not been opened since.
    parked: Arc<FxHashSet<SubscriptionKey>>,
    /// When the step that runs was asked for.
    asked_at: Option<Instant>,
    /// Parked deliveries removed for their size in this round.
    squeezed: u64,
    said: Said,
}

/// Looks at what other processes did to the queue, one at a time: an earlier look that came back after a later one would
/// take it for news.
#[derive(Debug, Default)]
pub(super) struct Looks {
    under_way: bool,
    /// Asked for since the one under way was begun.
    again: bool,
}

/// What other processes have counted in the queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Elsewhere {
    /// How often something was erased, ever.
    erasures: i64,
    /// How often the subscriptions were changed, ever.
    changes: i64,
    /// The last reading of the clocks that was trusted: an operator may have confirmed another one.
    trusted: Option<Reading>,
}

/// What was said of the queue's size; said again only after it was fine in between.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Parked deliveries went for their size: how many since that was said.
    squeezed: Option<u64>,
    /// Nothing is left that may be removed.
    full: bool,
}

impl Dispatcher {
    /// Begins a round of retention, unless one goes on.
    pub(super) fn retain(&mut self) {
        if std::mem::replace(&mut self.retention.running, true) {
            return;
        }
        let parked = self.lanes.values().filter(|lane| !lane.is_open()).map(|lane| lane.key);
        self.retention.parked = Arc::new(parked.collect());
        self.retain_some(Duration::ZERO);
    }

    /// One small step, after a pause: what others ask of the queue meanwhile is done before it.
    fn retain_some(&mut self, pause: Duration) {
        let parked = Arc::clone(&self.retention.parked);
        let (queue, policy) = (self.queue.clone(), Retention { parked, ..self.options.retention.clone() });
        self.retention.asked_at = Some(Instant::now() + pause);
        let clock = self.clock.clone();
        let work = async move {
            tokio::time::sleep(pause).await;
            queue.retain(policy, clock.trusted_now()).await
        };
        self.write(work, Done::Retained);
    }

    pub(super) fn retained(&mut self, step: &Retained) {
        self.writes -= 1;
        self.stats.dead.add(step.expired + step.parked);
        self.stats.expired.add(step.expired + step.parked);
        self.watch.is_stale |= step.expired + step.parked + step.dead > 0;
        self.retention.squeezed += step.parked;
        if step.more && !self.stopping {
            // Twice as long as the step took: most commits have nothing to do with retention.
            let took = self.retention.asked_at.map_or(Duration::ZERO, |asked_at| asked_at.elapsed());
            return self.retain_some((took * 2).clamp(MIN_PAUSE, MAX_PAUSE));
        }
        self.retention.end(step, self.options.retention.max_bytes);
    }

    /// Ends what waits for a deleted subscription, step by step.
    pub(super) fn forget(&mut self, key: SubscriptionKey) {
        let (queue, now) = (self.queue.clone(), self.clock.admission());
        let work = async move { queue.forget(key, now).await };
        self.write(work, move |more| Done::Forgotten { key, more });
    }

    pub(super) fn forgotten(&mut self, key: SubscriptionKey, more: bool) {
        self.writes -= 1;
        // A lane is there for it until nothing of it is under way, and none if it was deleted before we started.
        let lane = self.lanes.get(&key);
        if lane.is_some_and(|lane| lane.status != Status::Deleted) {
            return;
        }
        if more && !self.stopping {
            self.forget(key);
        } else if lane.is_some_and(Lane::is_idle) {
            self.lanes.remove(&key);
        }
    }

    /// Another process may have asked for redeliveries, or submitted events: looks now and then, since it cannot tell us.
    pub(super) fn ask_changed_elsewhere(&mut self) {
        if !self.looks.begin() {
            return;
        }
        let queue = self.queue.clone();
        self.write(async move { Elsewhere::look(&queue).await }, Done::ChangedElsewhere);
    }

    /// Takes up what other processes did; `None` if nobody else has written since the last look.
    pub(super) fn changed_elsewhere(&mut self, elsewhere: Option<Elsewhere>) {
        self.writes -= 1;
        let again = self.looks.end();
        self.watch.is_stale |= elsewhere.is_some();
        if self.stopping {
            return;
        }
        if let Some(Elsewhere { erasures, changes, trusted }) = elsewhere {
            self.clock_confirmed(trusted);
            if self.freshness.lacks(changes) {
                self.reload_unless_running();
            }
            if std::mem::replace(&mut self.erasures, erasures) != erasures {
                self.forget_what_is_in_memory();
            }
            self.look_for_waiting();
            self.take_submitted();
        }
        if again {
            self.ask_changed_elsewhere();
        }
    }

    /// Something was erased: every lane gives up what it holds and claims what is still there. Requests in flight go on;
    /// what they come to changes nothing where their delivery was erased.
    fn forget_what_is_in_memory(&mut self) {
        tracing::info!("payloads were erased; what waits is read again");
        let keys: Vec<SubscriptionKey> = self.lanes.keys().copied().collect();
        for key in keys {
            self.give_up(key);
            self.refill(key);
        }
    }
}

impl Elsewhere {
    async fn look(queue: &Queue) -> Result<Option<Self>, Error> {
        if !queue.changed_elsewhere().await? {
            return Ok(None);
        }
        let (erasures, changes) = (queue.erasures().await?, queue.catalog_changes().await?);
        Ok(Some(Self { erasures, changes, trusted: queue.known_times().await?.trusted }))
    }
}

impl Looks {
    /// May one begin now? Else another follows the one under way.
    fn begin(&mut self) -> bool {
        self.again = std::mem::replace(&mut self.under_way, true);
        !self.again
    }

    /// The one under way is over. Is another to follow?
    fn end(&mut self) -> bool {
        self.under_way = false;
        std::mem::take(&mut self.again)
    }
}

impl Round {
    /// It may be sent to again: from the next step on, what waits for it is not parked.
    pub(super) fn unpark(&mut self, key: SubscriptionKey) {
        if self.parked.contains(&key) {
            // Copied at most once a step: only while the queue has one does it share the set.
            Arc::make_mut(&mut self.parked).remove(&key);
        }
    }

    fn end(&mut self, last: &Retained, max_bytes: u64) {
        self.running = false;
        self.parked = Arc::default();
        let squeezed = std::mem::take(&mut self.squeezed);
        self.said.squeezed(squeezed, max_bytes);
        self.said.full(last, max_bytes);
    }
}

impl Said {
    fn squeezed(&mut self, deliveries: u64, max_bytes: u64) {
        match (deliveries, &mut self.squeezed) {
            (0, said) => {
                if let Some(deliveries) = said.take().filter(|more| *more > 0) {
                    tracing::warn!(deliveries, "more of the oldest parked deliveries were removed since");
                }
            }
            (_, Some(more)) => *more += deliveries,
            (_, said) => {
                tracing::warn!(
                    deliveries,
                    max_bytes,
                    "the queue is over its size: the oldest parked deliveries were removed; enable or delete \
                     their subscriptions, or raise DECNET_WEBHOOK_RETAIN_BYTES"
                );
                *said = Some(0);
            }
        }
    }

    fn full(&mut self, last: &Retained, max_bytes: u64) {
        if !last.only_live_left {
            self.full = false;
        } else if !std::mem::replace(&mut self.full, true) {
            tracing::warn!(
                bytes = last.bytes,
                max_bytes,
                "the queue is over its size and only deliveries that are still owed are left; raise \
                 DECNET_WEBHOOK_RETAIN_BYTES, or see `decnet delivery list`"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(only_live_left: bool) -> Retained {
        Retained { bytes: 11, only_live_left, ..Retained::default() }
    }

    #[test]
    fn a_full_queue_is_said_once_and_again_after_it_was_fine() {
        let mut round = Round::default();
        let full: Vec<bool> = [true, true, false, true]
            .map(|only_live_left| {
                let before = round.said.full;
                round.end(&step(only_live_left), 10);
                round.said.full && !before
            })
            .into();
        assert_eq!(full, [true, false, false, true]);
    }

    #[test]
    fn what_was_squeezed_out_is_said_once_then_counted() {
        let mut round = Round::default();
        let said = [5, 3, 2, 0, 4].map(|squeezed| {
            round.squeezed = squeezed;
            round.end(&step(false), 10);
            round.said.squeezed
        });
        assert_eq!(said, [Some(0), Some(3), Some(5), None, Some(0)]);
    }

    #[test]
    fn one_look_goes_at_a_time_and_one_follows_for_all_that_was_asked_meanwhile() {
        let mut looks = Looks::default();
        let began = [(); 4].map(|()| looks.begin());
        assert_eq!(began, [true, false, false, false]);
        assert!(looks.end() && looks.begin());
        assert!(!looks.end());
    }

    #[test]
    fn what_is_opened_during_a_round_is_not_parked_in_its_next_step() {
        let keys = [1, 2].map(SubscriptionKey);
        let mut round = Round { parked: Arc::new(keys.into_iter().collect()), ..Round::default() };
        let under_way = Arc::clone(&round.parked);
        round.unpark(keys[0]);
        assert_eq!(round.parked.iter().collect::<Vec<_>>(), [&keys[1]]);
        assert_eq!(under_way.len(), 2);
    }
}
