//! Publishes to a pipeline, and waits for what comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::pipeline::Pipeline;
use super::publisher::{Pace, Plan, Published, Publisher};
use super::receiver::Receiver;
use crate::cases::BODY_BYTES;
use crate::roles::receiver::Seen;

const POLL: Duration = Duration::from_millis(10);
/// How long nothing may arrive before a run counts as stuck.
const STUCK: Duration = Duration::from_secs(20);

/// What is published, and how.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) topics: Vec<String>,
    pub(crate) events: u64,
    /// Deliveries owed for each event.
    pub(crate) fan_out: u64,
    pub(crate) speed: Speed,
}

/// How fast it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speed {
    /// As fast as the bus takes them, at most so many events before what has come of them.
    FlatOut { ahead: u64 },
    /// Each event at its own time, so many a second.
    PerSecond(u32),
}

/// What came of it.
pub(crate) struct Arrived {
    pub(crate) deliveries: u64,
    /// From the first publish to the last receipt.
    pub(crate) seconds: f64,
    pub(crate) published: Published,
    pub(crate) seen: Seen,
}

/// A publisher, and whether anything comes of what it does.
struct Watch {
    /// Until it is done.
    publisher: Option<Publisher>,
    published: Option<Published>,
    progress: Arc<AtomicU64>,
    seen: u64,
    progress_at: Instant,
}

impl Load {
    /// As fast as the bus takes them, at most `ahead` events before what has come of them.
    pub(crate) fn flat_out(topic: &str, events: u64, fan_out: u64, ahead: u64) -> Self {
        Self { topics: vec![topic.into()], events, fan_out, speed: Speed::FlatOut { ahead } }
    }

    /// Each event at its own time.
    pub(crate) fn per_second(topic: &str, rate: u32, seconds: u64, fan_out: u64) -> Self {
        let events = u64::from(rate) * seconds;
        Self { topics: vec![topic.into()], events, fan_out, speed: Speed::PerSecond(rate) }
    }

    fn publish(self, pipeline: &Pipeline) -> Result<Watch> {
        let progress = Arc::new(AtomicU64::new(0));
        let pace = match self.speed {
            Speed::PerSecond(rate) => Pace::PerSecond(rate),
            Speed::FlatOut { ahead } => Pace::FlatOut { progress: Arc::clone(&progress), ahead },
        };
        let Self { topics, events, .. } = self;
        let plan = Plan { socket: pipeline.socket.clone(), topics, events, body_bytes: BODY_BYTES, pace };
        let publisher = Some(Publisher::start(plan)?);
        Ok(Watch { publisher, published: None, progress, seen: 0, progress_at: Instant::now() })
    }
}

impl Arrived {
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    pub(crate) fn per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }
}

impl Watch {
    /// So many events have had their effect. Fails if there were no more for too long, or the publisher failed.
    fn note(&mut self, seen: u64, owed: u64) -> Result<()> {
        if let Some(publisher) = self.publisher.take_if(|publisher| publisher.is_done()) {
            self.published = Some(publisher.join()?);
        }
        if seen > self.seen {
            (self.seen, self.progress_at) = (seen, Instant::now());
            self.progress.store(seen, Ordering::Relaxed);
        }
        let is_stuck = self.progress_at.elapsed() > STUCK;
        ensure!(!is_stuck, "of {owed} events {seen} had their effect, then none for {STUCK:?}");
        Ok(())
    }

    /// What the publisher has done; waits for its end.
    async fn published(mut self) -> Result<Published> {
        loop {
            if let Some(published) = self.published {
                return Ok(published);
            }
            tokio::time::sleep(POLL).await;
            self.note(self.seen, self.seen)?;
        }
    }
}

/// Publishes, and waits until everything has arrived: exactly as much as was owed.
pub(crate) async fn drive(pipeline: &mut Pipeline, receiver: &mut Receiver, load: Load) -> Result<Arrived> {
    receiver.reset().await?;
    let (events, fan_out) = (load.events, load.fan_out);
    let (owed, mut watch) = (events * fan_out, load.publish(pipeline)?);
    let mut arrived = 0;
    while arrived < owed {
        pipeline.must_live()?;
        arrived = receiver.seen().await?.requests;
        watch.note(arrived / fan_out, events)?;
        tokio::time::sleep(POLL).await;
    }
    let (published, seen) = (watch.published().await?, receiver.seen().await?);
    ensure!(seen.requests == owed, "{} requests arrived for {owed} deliveries", seen.requests);
    let seconds = Duration::from_micros(seen.last_us.saturating_sub(published.begun_us)).as_secs_f64();
    Ok(Arrived { deliveries: owed, seconds, published, seen })
}

/// Waits until so much has arrived of what was published before.
pub(crate) async fn drain(pipeline: &mut Pipeline, receiver: &mut Receiver, owed: u64) -> Result<Seen> {
    let (mut arrived, mut progress_at) = (0, Instant::now());
    loop {
        pipeline.must_live()?;
        let seen = receiver.seen().await?;
        if seen.requests >= owed {
            return Ok(seen);
        }
        if seen.requests > arrived {
            (arrived, progress_at) = (seen.requests, Instant::now());
        }
        let is_stuck = progress_at.elapsed() > STUCK;
        ensure!(!is_stuck, "of {owed} deliveries {arrived} arrived, then none for {STUCK:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Publishes, and waits until everything is committed, whatever becomes of it then. The seconds that took.
///
/// The queue is read, not asked: its newest row says how many events are committed, by one look into its index.
pub(crate) async fn admit(pipeline: &mut Pipeline, load: Load) -> Result<f64> {
    let (events, before) = (load.events, pipeline.newest()?);
    let mut watch = load.publish(pipeline)?;
    let mut admitted = 0;
    let mut done_at = Instant::now();
    let begun = done_at;
    while admitted < events {
        tokio::time::sleep(POLL).await;
        pipeline.must_live()?;
        (admitted, done_at) = (pipeline.newest()? - before, Instant::now());
        watch.note(admitted, events)?;
    }
    watch.published().await?;
    Ok((done_at - begun).as_secs_f64())
}
