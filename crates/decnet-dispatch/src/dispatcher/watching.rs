//! What is known of the queue beyond what passes through the loop: how much waits for each subscription, how much of it
//! is dead, and since when the oldest waits. Counted beside the writer, on a thread for blocking jobs.
//!
//! The loop counts what it admits and settles. A census corrects that: at the start, which found deliveries of earlier
//! workers, and after others have changed the queue or retention has removed from it. What moves while it counts makes it
//! uncertain; where it then finds another number, it is made again, until nothing moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use decnet_core::limits::{CENSUS_INTERVAL, OLDEST_INTERVAL};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Census, DeliveryId, Error, Found, Queue, SubscriptionKey};
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::reload::blocking;
use super::{Dispatcher, Done};

/// A census takes at most this share of the time.
const CENSUS_SHARE: u32 = 20;

/// What was counted, and how long that took.
pub(super) struct Counted {
    found: Result<FxHashMap<SubscriptionKey, Found>, Error>,
    took: Duration,
}

/// Since when the oldest delivery of each waits.
pub(super) type Oldest = Result<Vec<(SubscriptionKey, Option<UnixMicros>)>, Error>;

/// Countings under way and due.
#[derive(Debug)]
pub(super) struct Watch {
    /// Subscriptions with figures of their own.
    pub(super) own: Vec<SubscriptionKey>,
    /// What we believe may be wrong.
    pub(super) is_stale: bool,
    counting: bool,
    /// Writes were under way when the counting began: it may or may not have seen what they changed.
    is_disturbed: bool,
    count_at: Instant,
    looking: bool,
    look_at: Instant,
    stop: Arc<AtomicBool>,
}

impl Default for Watch {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            own: Vec::new(),
            is_stale: true,
            counting: false,
            is_disturbed: false,
            count_at: now,
            looking: false,
            look_at: now,
            stop: Arc::default(),
        }
    }
}

impl Watch {
    /// The worker ends: a counting under way is given up.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Dispatcher {
    /// Once a second.
    pub(super) fn watch(&mut self) {
        if self.stopping {
            return;
        }
        let now = Instant::now();
        if self.watch.is_stale && !self.watch.counting && self.watch.count_at <= now {
            self.count_queue();
        }
        if !self.watch.looking && self.watch.look_at <= now {
            self.look_for_oldest(now);
        }
    }

    fn count_queue(&mut self) {
        (self.watch.counting, self.watch.is_stale) = (true, false);
        self.watch.is_disturbed = self.writes > 0;
        self.lanes.values_mut().for_each(|lane| lane.tally.mark());
        let (queue, inbox, stop) = (self.queue.clone(), self.inbox.clone(), Arc::clone(&self.watch.stop));
        tokio::task::spawn_local(async move {
            inbox.put(Done::Counted(blocking(move || count(&queue, &stop)).await));
        });
    }

    pub(super) fn counted(&mut self, Counted { found, took }: Counted) {
        self.watch.counting = false;
        self.watch.count_at = Instant::now() + CENSUS_INTERVAL.max(took * CENSUS_SHARE);
        match found {
            Ok(found) => {
                let is_disturbed = self.watch.is_disturbed || self.writes > 0;
                for lane in self.lanes.values_mut() {
                    let Found { waiting, dead } = found.get(&lane.key).copied().unwrap_or_default();
                    self.watch.is_stale |= lane.tally.counted(waiting, dead, is_disturbed);
                    self.telling.admitted(lane, self.options.backlog_threshold);
                }
                self.stats.censuses.add(1);
            }
            Err(error) => {
                self.watch.is_stale = true;
                tracing::debug!(%error, "what waits could not be counted; tried again later");
            }
        }
    }

    fn look_for_oldest(&mut self, now: Instant) {
        self.watch.look_at = now + OLDEST_INTERVAL;
        let lanes = &self.lanes;
        self.watch.own.retain(|key| lanes.contains_key(key));
        let mut asked = Vec::new();
        for lane in self.watch.own.iter().filter_map(|key| lanes.get(key)) {
            if lane.tally.waiting() > 0 {
                asked.push((lane.key, lane.oldest_held()));
            } else {
                lane.tally.figures().oldest_at.set(0);
            }
        }
        if asked.is_empty() {
            return;
        }
        self.watch.looking = true;
        let (queue, inbox) = (self.queue.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            inbox.put(Done::Oldest(blocking(move || oldest(&queue, asked)).await));
        });
    }

    pub(super) fn oldest(&mut self, oldest: Oldest) {
        self.watch.looking = false;
        match oldest {
            Ok(oldest) => {
                for (key, at) in oldest {
                    if let Some(lane) = self.lanes.get(&key) {
                        let at = at.map_or(0, |at| at.0.unsigned_abs());
                        lane.tally.figures().oldest_at.set(at);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "the oldest deliveries could not be looked for"),
        }
    }
}

/// All of it, in steps with pauses between them: neither the disk nor the processor is ours alone.
fn count(queue: &Queue, stop: &AtomicBool) -> Counted {
    let begun = Instant::now();
    let counted = || {
        let (reader, mut census) = (queue.reader()?, Census::default());
        let mut step = Instant::now();
        while reader.count_some(&mut census)? {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::Closed);
            }
            std::thread::sleep(step.elapsed());
            step = Instant::now();
        }
        Ok(census.into_found())
    };
    Counted { found: counted(), took: begun.elapsed() }
}

fn oldest(queue: &Queue, asked: Vec<(SubscriptionKey, Option<DeliveryId>)>) -> Oldest {
    let reader = queue.reader()?;
    let look = |(key, held)| Ok((key, reader.oldest_waiting(key, held)?));
    asked.into_iter().map(look).collect()
}

#[cfg(test)]
mod tests {
    use decnet_core::event::Event;
    use decnet_core::limits::CENSUS_STEP_ROWS;
    use decnet_store::queue::{Admission, Options, Recipient};

    use super::*;

    #[tokio::test]
    async fn a_census_that_was_stopped_has_counted_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let keys = queue.register(vec![("uuid".into(), "name".into())]).await.unwrap();
        let to = vec![Recipient { sub: keys[0], held: false }; 2 * CENSUS_STEP_ROWS as usize];
        let event = Event::new("id", "a.b", "test", UnixMicros(0), "{}").unwrap();
        queue.admit([Admission { event: Arc::new(event), to, submitted: None }].into()).await.unwrap();
        let stop = AtomicBool::new(true);
        assert!(count(&queue, &stop).found.is_err());
        stop.store(false, Ordering::Relaxed);
        assert_eq!(count(&queue, &stop).found.unwrap()[&keys[0]].waiting, 2 * u64::from(CENSUS_STEP_ROWS));
    }
}
