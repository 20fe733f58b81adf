//! Publishes a load to a pipeline and waits for its deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::pipeline::Pipeline;
use super::publisher::{Pace, PublishPlan, Published, Publisher};
use super::receiver::Receiver;
use crate::cases::BODY_BYTES;
use crate::roles::receiver::Receipts;

const POLL: Duration = Duration::from_millis(10);
/// Time without progress after which a run is stuck.
const STALL_TIMEOUT: Duration = Duration::from_secs(20);

/// A load: the events to publish and their rate.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) topics: Vec<String>,
    pub(crate) events: u64,
    /// Expected deliveries per event.
    pub(crate) fan_out: u64,
    pub(crate) speed: Speed,
}

/// The speed at which events are published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speed {
    /// As fast as the bus accepts them, at most `ahead` events before the completed ones.
    FlatOut { ahead: u64 },
    /// Each event at its own time, at this rate per second.
    PerSecond(u32),
}

/// Result of a load.
pub(crate) struct LoadResult {
    pub(crate) deliveries: u64,
    /// Seconds from the first publish to the last receipt.
    pub(crate) seconds: f64,
    pub(crate) published: Published,
    pub(crate) receipts: Receipts,
}

/// A publisher and the progress of its events.
struct ProgressMonitor {
    /// The publisher until it is done, then `None`.
    publisher: Option<Publisher>,
    published: Option<Published>,
    progress: Arc<AtomicU64>,
    completed: u64,
    progress_at: Instant,
}

impl Load {
    /// Creates a load that is published as fast as the bus accepts it, at most `ahead` events before the
    /// completed ones.
    pub(crate) fn flat_out(topic: &str, events: u64, fan_out: u64, ahead: u64) -> Self {
        Self { topics: vec![topic.into()], events, fan_out, speed: Speed::FlatOut { ahead } }
    }

    /// Creates a load in which each event has its own time.
    pub(crate) fn per_second(topic: &str, rate: u32, seconds: u64, fan_out: u64) -> Self {
        let events = u64::from(rate) * seconds;
        Self { topics: vec![topic.into()], events, fan_out, speed: Speed::PerSecond(rate) }
    }

    fn publish(self, pipeline: &Pipeline) -> Result<ProgressMonitor> {
        let progress = Arc::new(AtomicU64::new(0));
        let pace = match self.speed {
            Speed::PerSecond(rate) => Pace::PerSecond(rate),
            Speed::FlatOut { ahead } => Pace::FlatOut { progress: Arc::clone(&progress), ahead },
        };
        let Self { topics, events, .. } = self;
        let plan =
            PublishPlan { socket: pipeline.socket.clone(), topics, events, body_bytes: BODY_BYTES, pace };
        let publisher = Some(Publisher::start(plan)?);
        Ok(ProgressMonitor {
            publisher,
            published: None,
            progress,
            completed: 0,
            progress_at: Instant::now(),
        })
    }
}

impl LoadResult {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub(crate) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }
}

impl ProgressMonitor {
    /// Records the number of completed events. Fails if there was no progress for [`STALL_TIMEOUT`], or the
    /// publisher failed.
    fn record(&mut self, completed: u64, owed: u64) -> Result<()> {
        if let Some(publisher) = self.publisher.take_if(|publisher| publisher.is_done()) {
            self.published = Some(publisher.join()?);
        }
        if completed > self.completed {
            (self.completed, self.progress_at) = (completed, Instant::now());
            self.progress.store(completed, Ordering::Relaxed);
        }
        let is_stuck = self.progress_at.elapsed() > STALL_TIMEOUT;
        ensure!(
            !is_stuck,
            "stalled: {completed} of {owed} events took effect, then none for {STALL_TIMEOUT:?}"
        );
        Ok(())
    }

    /// Waits for the publisher to end and returns its result.
    async fn published(mut self) -> Result<Published> {
        loop {
            if let Some(published) = self.published {
                return Ok(published);
            }
            tokio::time::sleep(POLL).await;
            self.record(self.completed, self.completed)?;
        }
    }
}

/// Publishes a load and waits until exactly the expected deliveries have arrived.
pub(crate) async fn drive(
    pipeline: &mut Pipeline,
    receiver: &mut Receiver,
    load: Load,
) -> Result<LoadResult> {
    receiver.reset().await?;
    let (events, fan_out) = (load.events, load.fan_out);
    let (owed, mut monitor) = (events * fan_out, load.publish(pipeline)?);
    let mut arrived = 0;
    while arrived < owed {
        pipeline.ensure_running()?;
        arrived = receiver.receipts().await?.requests;
        monitor.record(arrived / fan_out, events)?;
        tokio::time::sleep(POLL).await;
    }
    let (published, receipts) = (monitor.published().await?, receiver.receipts().await?);
    ensure!(receipts.requests == owed, "{} requests arrived for {owed} deliveries", receipts.requests);
    let seconds = Duration::from_micros(receipts.last_us.saturating_sub(published.begun_us)).as_secs_f64();
    Ok(LoadResult { deliveries: owed, seconds, published, receipts })
}

/// Waits until `owed` deliveries of events that were published before have arrived.
pub(crate) async fn drain(pipeline: &mut Pipeline, receiver: &mut Receiver, owed: u64) -> Result<Receipts> {
    let (mut arrived, mut progress_at) = (0, Instant::now());
    loop {
        pipeline.ensure_running()?;
        let receipts = receiver.receipts().await?;
        if receipts.requests >= owed {
            return Ok(receipts);
        }
        if receipts.requests > arrived {
            (arrived, progress_at) = (receipts.requests, Instant::now());
        }
        let is_stuck = progress_at.elapsed() > STALL_TIMEOUT;
        ensure!(
            !is_stuck,
            "stalled: {arrived} of {owed} deliveries arrived, then none for {STALL_TIMEOUT:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

/// Publishes a load and waits until all of it is committed, regardless of delivery. Returns the seconds that
/// this took.
///
/// The number of committed events is the sequence number of the newest row, a single index lookup in the
/// queue's file.
pub(crate) async fn admit(pipeline: &mut Pipeline, load: Load) -> Result<f64> {
    let (events, before) = (load.events, pipeline.newest()?);
    let mut monitor = load.publish(pipeline)?;
    let mut admitted = 0;
    let mut done_at = Instant::now();
    let begun = done_at;
    while admitted < events {
        tokio::time::sleep(POLL).await;
        pipeline.ensure_running()?;
        (admitted, done_at) = (pipeline.newest()? - before, Instant::now());
        monitor.record(admitted, events)?;
    }
    monitor.published().await?;
    Ok((done_at - begun).as_secs_f64())
}
