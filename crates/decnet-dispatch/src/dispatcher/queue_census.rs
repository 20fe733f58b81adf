//! Counts the queue on a thread for blocking jobs: the numbers of waiting and dead deliveries of each subscription, and the
//! admission time of its oldest waiting delivery.
//!
//! The loop counts what it admits and settles. A census corrects these counts: at the start, when the queue contains
//! deliveries of earlier workers, and after other processes or retention have changed the queue. Changes during the census
//! make its result uncertain. If the result then differs from the counts, the census is repeated until nothing changes while it
//! runs.

use std::time::Duration;

use decnet_core::limits::{CENSUS_INTERVAL, OLDEST_SCAN_INTERVAL};
use decnet_core::time::UnixMicros;
use decnet_store::queue::{Census, CensusCounts, DeliveryId, Error, Queue, SubscriptionKey};
use rustc_hash::FxHashMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::reload::blocking;
use super::{Dispatcher, Done};

/// The divisor that gives the maximum share of the time in which a census runs: 1/20.
const CENSUS_SHARE: u32 = 20;

/// The result of a census, and its duration.
pub(super) struct Counted {
    counts: Result<FxHashMap<SubscriptionKey, CensusCounts>, Error>,
    took: Duration,
}

/// The admission time of the oldest waiting delivery of each subscription.
pub(super) type Oldest = Result<Vec<(SubscriptionKey, Option<UnixMicros>)>, Error>;

/// The state of the census, and of the search for the oldest deliveries.
#[derive(Debug, Default)]
pub(super) struct QueueCensus {
    /// The subscriptions with metrics of their own.
    pub(super) individual: Vec<SubscriptionKey>,
    /// Whether the counts may be wrong.
    pub(super) is_stale: bool,
    is_counting: bool,
    /// Whether writes were under way when the census started. The census may or may not have seen their changes.
    is_disturbed: bool,
    /// The earliest time of the next census.
    count_at: Option<Instant>,
    is_searching: bool,
    search_at: Option<Instant>,
    /// Cancelled at the shutdown; aborts a running census.
    pub(super) stop: CancellationToken,
}

impl Dispatcher {
    /// Starts a census, or a search for the oldest deliveries, if it is due.
    pub(super) fn count_if_due(&mut self) {
        if self.is_stopping {
            return;
        }
        let now = Instant::now();
        if self.census.is_stale && !self.census.is_counting && self.census.count_at <= Some(now) {
            self.start_census();
        }
        if !self.census.is_searching && self.census.search_at <= Some(now) {
            self.find_oldest(now);
        }
    }

    fn start_census(&mut self) {
        (self.census.is_counting, self.census.is_stale) = (true, false);
        self.census.is_disturbed = self.writes.jobs > 0;
        self.lanes.values_mut().for_each(|lane| lane.metrics.start_census());
        let (queue, inbox, stop) = (self.queue.clone(), self.inbox.clone(), self.census.stop.clone());
        tokio::task::spawn_local(async move {
            inbox.put(Done::Counted(blocking(move || count(&queue, &stop)).await));
        });
    }

    pub(super) fn on_counted(&mut self, Counted { counts, took }: Counted) {
        self.census.is_counting = false;
        self.census.count_at = Some(Instant::now() + CENSUS_INTERVAL.max(took * CENSUS_SHARE));
        match counts {
            Ok(counts) => {
                let is_disturbed = self.census.is_disturbed || self.writes.jobs > 0;
                for lane in self.lanes.values_mut() {
                    let CensusCounts { waiting, dead } = counts.get(&lane.key).copied().unwrap_or_default();
                    self.census.is_stale |= lane.metrics.apply_census(waiting, dead, is_disturbed);
                    self.notices.record_backlog(lane, self.options.backlog_threshold);
                }
                self.stats.censuses.add(1);
            }
            Err(error) => {
                self.census.is_stale = true;
                tracing::debug!(%error, "cannot count the waiting deliveries; retrying later");
            }
        }
    }

    fn find_oldest(&mut self, now: Instant) {
        self.census.search_at = Some(now + OLDEST_SCAN_INTERVAL);
        let lanes = &self.lanes;
        self.census.individual.retain(|key| lanes.contains_key(key));
        let mut waiting = Vec::new();
        for lane in self.census.individual.iter().map(|key| &lanes[*key]) {
            if lane.metrics.waiting() > 0 {
                waiting.push((lane.key, lane.oldest_ready()));
            } else {
                lane.metrics.metrics().oldest_at.set(0);
            }
        }
        if waiting.is_empty() {
            return;
        }
        self.census.is_searching = true;
        let (queue, inbox) = (self.queue.clone(), self.inbox.clone());
        tokio::task::spawn_local(async move {
            inbox.put(Done::Oldest(blocking(move || oldest(&queue, waiting)).await));
        });
    }

    pub(super) fn on_oldest(&mut self, oldest: Oldest) {
        self.census.is_searching = false;
        match oldest {
            Ok(oldest) => {
                for (key, at) in oldest {
                    // The metrics of a lane that was removed meanwhile are gone, too.
                    if let Some(lane) = self.lanes.get(&key) {
                        let at = at.map_or(0, |at| at.0.unsigned_abs());
                        lane.metrics.metrics().oldest_at.set(at);
                    }
                }
            }
            Err(error) => tracing::debug!(%error, "cannot find the oldest deliveries; retrying later"),
        }
    }
}

/// Counts in steps. The pauses between them leave half of the disk and the processor to others.
fn count(queue: &Queue, stop: &CancellationToken) -> Counted {
    let start = Instant::now();
    let counts = || {
        let (reader, mut census) = (queue.reader()?, Census::default());
        let mut step = Instant::now();
        while reader.count_some(&mut census)? {
            if stop.is_cancelled() {
                return Err(Error::Closed);
            }
            std::thread::sleep(step.elapsed());
            step = Instant::now();
        }
        Ok(census.counts)
    };
    Counted { counts: counts(), took: start.elapsed() }
}

/// Finds the oldest waiting delivery of each subscription; some subscriptions have a waiting delivery in memory.
fn oldest(queue: &Queue, waiting: Vec<(SubscriptionKey, Option<DeliveryId>)>) -> Oldest {
    let reader = queue.reader()?;
    let find = |(key, in_memory)| Ok((key, reader.oldest_waiting(key, in_memory)?));
    waiting.into_iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use decnet_core::event::Event;
    use decnet_core::limits::CENSUS_STEP_ROWS;
    use decnet_store::queue::{Admission, Options, Recipient};

    use super::*;

    #[tokio::test]
    async fn stopped_census_returns_no_counts() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::open(dir.path(), Options::default()).unwrap();
        let keys = queue.register(vec![("uuid".into(), "name".into())]).await.unwrap();
        let to = vec![Recipient::new(keys[0], false); 2 * CENSUS_STEP_ROWS as usize];
        let event = Event::new("id", "a.b", "test", UnixMicros(0), "{}").unwrap();
        queue.admit([Admission { event: Arc::new(event), to, submitted: None }].into()).await.unwrap();
        let stop = CancellationToken::new();
        assert_eq!(count(&queue, &stop).counts.unwrap()[&keys[0]].waiting, 2 * u64::from(CENSUS_STEP_ROWS));
        stop.cancel();
        assert!(count(&queue, &stop).counts.is_err());
    }
}
