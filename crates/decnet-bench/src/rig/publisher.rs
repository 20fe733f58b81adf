//! The publisher: a thread with its own connection to the bus, which publishes flat out or at a fixed rate.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use decnet_bus::Client;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::clock::{histogram, micros, now_us};

const EVENT_TYPE: &str = "bench";
/// Bytes of a delivered body apart from the padding and the topic: id, time, type and numbers.
const FRAME_BYTES: usize = 160;
/// Time for which the publisher sleeps when it is too far ahead.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Serialize)]
struct Payload<'a> {
    due_us: u64,
    pad: &'a str,
}

/// The events to publish.
#[derive(Debug, Clone)]
pub(crate) struct PublishPlan {
    pub(crate) socket: PathBuf,
    /// Topics of the events, used in turn.
    pub(crate) topics: Vec<String>,
    pub(crate) events: u64,
    /// Approximate bytes of the delivered body.
    pub(crate) body_bytes: usize,
    pub(crate) pace: Pace,
}

/// The times at which events are published.
#[derive(Debug, Clone)]
pub(crate) enum Pace {
    /// At once, at most `ahead` events before the value of `progress`.
    FlatOut { progress: Arc<AtomicU64>, ahead: u64 },
    /// Each event at its own time, even if the previous one was late. The payload contains that time.
    PerSecond(u32),
}

/// Result of a publisher.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Published {
    /// The time at which the first event was due, in microseconds since 1970.
    pub(crate) begun_us: u64,
    /// 99th percentile of the publisher's own delay, in microseconds; it is part of the measured latencies.
    pub(crate) late_p99_us: u64,
}

/// A running publisher.
pub(crate) struct Publisher(JoinHandle<Result<Published>>);

/// Renders the events one after the other.
struct Events<'a> {
    plan: &'a PublishPlan,
    pad: String,
}

impl Publisher {
    pub(crate) fn start(plan: PublishPlan) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("publisher".into());
        Ok(Self(thread.spawn(move || runtime.block_on(publish(&plan)))?))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    pub(crate) fn join(self) -> Result<Published> {
        self.0.join().map_err(|_| anyhow!("the publisher panicked"))?
    }
}

impl Events<'_> {
    fn get(&self, number: u64, due_us: u64) -> (&str, Payload<'_>) {
        let topics = &self.plan.topics;
        let turn = usize::try_from(number).unwrap_or(0) % topics.len();
        let padding = self.pad.len().saturating_sub(FRAME_BYTES + topics[turn].len());
        (&topics[turn], Payload { due_us, pad: &self.pad[..padding] })
    }
}

async fn publish(plan: &PublishPlan) -> Result<Published> {
    let mut client = Client::connect(&plan.socket, "bench publisher").await?;
    let events = Events { plan, pad: "x".repeat(plan.body_bytes) };
    let (begun_us, mut late) = (now_us(), histogram());
    match &plan.pace {
        Pace::FlatOut { progress, ahead } => flat_out(&mut client, &events, progress, *ahead).await?,
        Pace::PerSecond(rate) => at_fixed_rate(&mut client, &events, *rate, &mut late).await?,
    }
    client.close().await?;
    Ok(Published { begun_us, late_p99_us: late.value_at_quantile(0.99) })
}

async fn flat_out(client: &mut Client, events: &Events<'_>, progress: &AtomicU64, ahead: u64) -> Result<()> {
    for number in 0..events.plan.events {
        while number >= progress.load(Ordering::Relaxed).saturating_add(ahead) {
            client.sender().flush().await?;
            thread::sleep(PAUSE);
        }
        let (topic, payload) = events.get(number, now_us());
        client.sender().feed(topic, EVENT_TYPE, &payload).await?;
    }
    Ok(client.sender().flush().await?)
}

/// Publishes each event at its own time. It sleeps on the thread, because the runtime's timers have a
/// resolution of one millisecond.
async fn at_fixed_rate(
    client: &mut Client,
    events: &Events<'_>,
    rate: u32,
    late: &mut Histogram<u64>,
) -> Result<()> {
    let (begun, interval) = (SystemTime::now(), Duration::from_secs(1) / rate);
    for number in 0..u32::try_from(events.plan.events)? {
        let due = begun + interval * number;
        if let Ok(wait) = due.duration_since(SystemTime::now()) {
            thread::sleep(wait);
        }
        let due_us = micros(due.duration_since(SystemTime::UNIX_EPOCH)?);
        let (topic, payload) = events.get(number.into(), due_us);
        client.publish(topic, EVENT_TYPE, &payload).await?;
        late.saturating_record(now_us().saturating_sub(due_us));
    }
    Ok(())
}
