//! The publisher: a thread of its own with a connection to the bus, flat out or by the clock.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use decnet_bus::Client;
use serde::Serialize;

use crate::clock::{micros, now_us};

const TOPIC: &str = "bench.event";
const KIND: &str = "bench";
/// Bytes of a delivered body beside the padding: id, topic, time, type and the numbers.
const FRAME_BYTES: usize = 171;
/// How long the publisher sleeps when it is too far ahead of the receiver.
const PAUSE: Duration = Duration::from_millis(1);

#[derive(Serialize)]
struct Payload<'a> {
    due_us: u64,
    pad: &'a str,
}

/// What to publish.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) socket: PathBuf,
    pub(crate) events: u64,
    /// Bytes of the delivered body, to a few.
    pub(crate) body_bytes: usize,
    pub(crate) pace: Pace,
}

/// When to publish.
#[derive(Debug, Clone)]
pub(crate) enum Pace {
    /// At once, but never more than `ahead` events before what `received` says.
    FlatOut { received: Arc<AtomicU64>, ahead: u64 },
    /// Each event at its own time, however late the one before it was; that time travels in the payload.
    PerSecond(u32),
}

/// A publisher at work.
pub(crate) struct Publisher(JoinHandle<Result<u64>>);

impl Publisher {
    pub(crate) fn start(plan: Plan) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = thread::Builder::new().name("publisher".into());
        Ok(Self(thread.spawn(move || runtime.block_on(publish(&plan)))?))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// When the first event was due, in microseconds since 1970.
    pub(crate) fn join(self) -> Result<u64> {
        self.0.join().map_err(|_| anyhow!("the publisher panicked"))?
    }
}

async fn publish(plan: &Plan) -> Result<u64> {
    let mut client = Client::connect(&plan.socket, "bench publisher").await?;
    let pad = "x".repeat(plan.body_bytes.saturating_sub(FRAME_BYTES));
    let begun_us = now_us();
    match &plan.pace {
        Pace::FlatOut { received, ahead } => {
            flat_out(&mut client, plan.events, &pad, received, *ahead).await?;
        }
        Pace::PerSecond(rate) => by_the_clock(&mut client, plan.events, &pad, *rate).await?,
    }
    client.close().await?;
    Ok(begun_us)
}

async fn flat_out(
    client: &mut Client,
    events: u64,
    pad: &str,
    received: &AtomicU64,
    ahead: u64,
) -> Result<()> {
    for number in 0..events {
        while number >= received.load(Ordering::Relaxed).saturating_add(ahead) {
            client.sender().flush().await?;
            thread::sleep(PAUSE);
        }
        client.sender().feed(TOPIC, KIND, &Payload { due_us: now_us(), pad }).await?;
    }
    Ok(client.sender().flush().await?)
}

/// The thread itself sleeps: the runtime's timers are only good to a millisecond.
async fn by_the_clock(client: &mut Client, events: u64, pad: &str, rate: u32) -> Result<()> {
    let (begun, interval) = (SystemTime::now(), Duration::from_secs(1) / rate);
    for number in 0..u32::try_from(events)? {
        let due = begun + interval * number;
        if let Ok(wait) = due.duration_since(SystemTime::now()) {
            thread::sleep(wait);
        }
        let due_us = micros(due.duration_since(SystemTime::UNIX_EPOCH)?);
        client.publish(TOPIC, KIND, &Payload { due_us, pad }).await?;
    }
    Ok(())
}
