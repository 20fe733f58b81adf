//! A publisher on a thread of its own, and the progress of its events.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, anyhow, ensure};
use decnet_bus::Client;
use serde::Serialize;

use crate::quantiles::Quantiles;

/// The type of every event.
pub const EVENT_TYPE: &str = "bench";
/// The name of the publisher's thread.
pub const THREAD: &str = "publisher";
/// The approximate size of every delivered body.
pub const BODY_BYTES: usize = 600;
/// The bytes of a delivered body apart from padding and topic: id, time, type and numbers.
const FRAME_BYTES: usize = 160;
/// The time for which the publisher sleeps when it is too far ahead.
const PAUSE: Duration = Duration::from_millis(1);
/// The minimum number of events by which a load of limited duration is ahead of the completed events.
const MIN_AHEAD: u64 = 512;
/// The lead of such a load, in milliseconds of deliveries: enough to keep the worker busy, little enough that a slow
/// machine finishes soon after the time is up.
const AHEAD_MILLIS: u64 = 250;
/// The time for which a load may make no progress before it fails.
pub const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Events to publish.
#[derive(Debug, Clone)]
pub struct Load {
    /// The topics of the events, used in turn.
    pub topics: Vec<String>,
    /// The maximum number of events.
    pub events: u64,
    /// Expected deliveries per event.
    pub fan_out: u64,
    /// The times at which the events are published.
    pub pace: Pace,
}

/// The times at which events are published.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As fast as the bus accepts them, with at most this number of published events that are not yet completed.
    FlatOut(u64),
    /// As fast as they are completed, for this duration.
    For(Duration),
    /// Each event at its own time, at this rate per second, even if the previous event was late.
    PerSecond(u32),
}

/// The payload of an event, which was due at `due_us`, in microseconds since 1970.
#[derive(Serialize)]
struct Payload<'a> {
    due_us: u64,
    pad: &'a str,
}

/// The result of a publisher.
#[derive(Debug, Clone, Copy)]
pub struct Published {
    /// The number of published events.
    pub events: u64,
    /// The time at which the first event was due, in microseconds since 1970.
    pub begun_us: u64,
    /// The publisher's own delay at a fixed rate, which is part of the measured latencies.
    pub late: Quantiles,
}

/// A load that is being published. Dropping it ends the publisher.
#[derive(Debug)]
pub struct Run {
    /// The publisher until it has ended.
    publisher: Option<JoinHandle<Result<Published>>>,
    bounds: Arc<Bounds>,
    fan_out: u64,
    pace: Pace,
    begun: Instant,
    progress: Progress,
}

/// The bounds of a publisher, which its run moves.
#[derive(Debug)]
struct Bounds {
    /// The number of events after which the publisher ends.
    events: AtomicU64,
    /// The number of events after which the publisher waits.
    limit: AtomicU64,
}

/// A detector of loads that make no progress.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    completed: u64,
    at: Instant,
}

impl Load {
    /// Creates a load of one topic that is published as fast as the bus accepts it, with at most `ahead` published events that
    /// are not yet completed.
    #[must_use]
    pub fn flat_out(topic: &str, events: u64, fan_out: u64, ahead: u64) -> Self {
        Self { topics: vec![topic.into()], events, fan_out, pace: Pace::FlatOut(ahead) }
    }

    /// Creates a load of one topic in which each event has its own time.
    #[must_use]
    pub fn per_second(topic: &str, rate: u32, seconds: u64, fan_out: u64) -> Self {
        let events = u64::from(rate) * seconds;
        Self { topics: vec![topic.into()], events, fan_out, pace: Pace::PerSecond(rate) }
    }

    /// Starts publishing to the bus at `socket`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn start(self, socket: &Path) -> Result<Run> {
        let limit = if let Pace::FlatOut(ahead) = self.pace { ahead } else { MIN_AHEAD };
        let bounds = Arc::new(Bounds { events: self.events.into(), limit: limit.into() });
        let (fan_out, pace, begun) = (self.fan_out, self.pace, Instant::now());
        let (socket, topics, shared) = (socket.to_owned(), self.topics, Arc::clone(&bounds));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let publish = move || runtime.block_on(publish(&socket, &topics, pace, &shared));
        let publisher = Some(thread::Builder::new().name(THREAD.into()).spawn(publish)?);
        Ok(Run { publisher, bounds, fan_out, pace, begun, progress: Progress::default() })
    }
}

impl Run {
    /// Waits until all events are published and completed. `deliveries` returns the number of deliveries so far and is called
    /// every `interval`.
    ///
    /// # Errors
    /// The publisher or `deliveries` failed, or there was no progress for [`STALL_TIMEOUT`].
    pub async fn finish(
        mut self,
        interval: Duration,
        mut deliveries: impl AsyncFnMut() -> Result<u64>,
    ) -> Result<Published> {
        let mut published: Option<Published> = None;
        loop {
            let completed = deliveries().await? / self.fan_out;
            if let Some(publisher) = self.publisher.take_if(|publisher| publisher.is_finished()) {
                published = Some(publisher.join().map_err(|_| anyhow!("the publisher panicked"))??);
            }
            if let Some(published) = published.filter(|published| completed >= published.events) {
                return Ok(published);
            }
            let expected =
                published.map_or(self.bounds.events.load(Ordering::Relaxed), |published| published.events);
            self.progress.record(completed, expected)?;
            self.move_bounds(completed);
            tokio::time::sleep(interval).await;
        }
    }

    fn move_bounds(&self, completed: u64) {
        let ahead = match self.pace {
            Pace::PerSecond(_) => return,
            Pace::FlatOut(ahead) => ahead,
            Pace::For(time) => {
                if self.begun.elapsed() >= time {
                    self.stop();
                }
                ahead(completed, self.begun.elapsed())
            }
        };
        self.bounds.limit.store(completed.saturating_add(ahead), Ordering::Relaxed);
    }

    fn stop(&self) {
        self.bounds.events.store(0, Ordering::Relaxed);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self { completed: 0, at: Instant::now() }
    }
}

impl Progress {
    /// Records the number of completed deliveries.
    ///
    /// # Errors
    /// There was no progress for [`STALL_TIMEOUT`].
    pub fn record(&mut self, completed: u64, expected: u64) -> Result<()> {
        if completed > self.completed {
            *self = Self { completed, at: Instant::now() };
        }
        ensure!(
            self.at.elapsed() < STALL_TIMEOUT,
            "stalled: {completed} of {expected} events were completed, then none for {STALL_TIMEOUT:?}"
        );
        Ok(())
    }
}

impl<'a> Payload<'a> {
    /// Creates a payload that makes a delivered body about [`BODY_BYTES`] long. `pad` has that many bytes.
    fn new(topic: &str, due_us: u64, pad: &'a str) -> Self {
        Self { due_us, pad: &pad[..pad.len().saturating_sub(FRAME_BYTES + topic.len())] }
    }
}

/// Returns the payload of an event as JSON text.
///
/// # Panics
/// Never: the payload can be serialized.
#[must_use]
pub fn payload(topic: &str, due_us: u64) -> String {
    let pad = padding();
    serde_json::to_string(&Payload::new(topic, due_us, &pad)).expect("a number and a text serialize")
}

fn padding() -> String {
    "x".repeat(BODY_BYTES)
}

/// Publishes until [`Bounds::events`] is reached.
async fn publish(socket: &Path, topics: &[String], pace: Pace, bounds: &Bounds) -> Result<Published> {
    let mut client = Client::connect(socket, "bench publisher").await?;
    let (pad, mut late, mut events) = (padding(), Vec::new(), 0);
    let (begun_us, begun) = (now_us(), SystemTime::now());
    while events < bounds.events.load(Ordering::Relaxed) {
        let topic = &topics[usize::try_from(events)? % topics.len()];
        if let Pace::PerSecond(rate) = pace {
            let due = begun + Duration::from_secs(1) / rate * u32::try_from(events)?;
            // Sleeps on the thread, because the runtime's timers have a resolution of one millisecond.
            if let Ok(wait) = due.duration_since(SystemTime::now()) {
                thread::sleep(wait);
            }
            let due_us: u64 = due.duration_since(SystemTime::UNIX_EPOCH)?.as_micros().try_into()?;
            client.publish(topic, EVENT_TYPE, &Payload::new(topic, due_us, &pad)).await?;
            late.push(due.elapsed().unwrap_or_default());
        } else if events < bounds.limit.load(Ordering::Relaxed) {
            client.sender.feed(topic, EVENT_TYPE, &Payload::new(topic, now_us(), &pad)).await?;
        } else {
            client.sender.flush().await?;
            thread::sleep(PAUSE);
            continue;
        }
        events += 1;
    }
    client.close().await?;
    Ok(Published { events, begun_us, late: Quantiles::of(late) })
}

/// Returns the maximum number of published events that are not yet completed, given that `completed` events took `elapsed`.
fn ahead(completed: u64, elapsed: Duration) -> u64 {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(100);
    (completed * AHEAD_MILLIS / millis).max(MIN_AHEAD)
}

/// Returns the microseconds since 1970-01-01 00:00 UTC by the wall clock, which sender and receiver share.
#[must_use]
pub fn now_us() -> u64 {
    u64::try_from(decnet_runtime::clock::now().0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_fills_a_body_of_the_standard_size() {
        let payload: serde_json::Value = serde_json::from_str(&payload("bench", 17)).unwrap();
        assert_eq!(payload["due_us"], 17);
        assert_eq!(payload["pad"].as_str().unwrap().len() + FRAME_BYTES + "bench".len(), BODY_BYTES);
    }

    #[test]
    fn lead_is_a_quarter_of_a_second_or_the_minimum() {
        assert_eq!(ahead(0, Duration::ZERO), MIN_AHEAD);
        assert_eq!(ahead(100_000, Duration::from_secs(1)), 25_000);
    }
}
