//! The queue between the task that reads the bus and the thread that prints.
//!
//! A bus drops events for a slow reader, and stdout can be slow: a disk, a pager, a terminal. So the bus is read by one task
//! and stdout is written by another thread, with a queue between them that is bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

use decnet_bus::Received;
use decnet_core::limits::MAX_WATCH_BYTES;

use super::line;
use crate::output;

/// The approximate memory of an event without topic and body, in bytes.
const EVENT_OVERHEAD: usize = 128;
/// The bytes of lines that are written at once. A single line may be longer.
const WRITE_BYTES: usize = 64 * 1024;

/// The sending half of the queue of received events. After it is dropped, the printer ends after the last queued event.
pub(super) struct ReadAhead {
    events: mpsc::Sender<Received>,
    counts: Arc<Counts>,
}

/// The receiving half of the queue, which prints the events.
pub(super) struct Printer {
    events: mpsc::Receiver<Received>,
    counts: Arc<Counts>,
    limit: u64,
}

/// The counters that both sides share.
#[derive(Default)]
pub(super) struct Counts {
    waiting_bytes: AtomicUsize,
    /// Events that have been neither printed nor reported as invalid yet.
    waiting: AtomicU64,
    printed: AtomicU64,
}

/// Creates a queue whose printer ends after `limit` events.
pub(super) fn queue(limit: u64) -> (ReadAhead, Printer, Arc<Counts>) {
    let (sender, receiver) = mpsc::channel();
    let counts = Arc::<Counts>::default();
    let ahead = ReadAhead { events: sender, counts: Arc::clone(&counts) };
    (ahead, Printer { events: receiver, counts: Arc::clone(&counts), limit }, counts)
}

impl ReadAhead {
    /// Queues an event. Returns false if the queue is full.
    pub(super) fn push(&self, event: Received) -> bool {
        let bytes = memory_of(&event);
        if self.counts.waiting_bytes.load(Ordering::Relaxed) + bytes > MAX_WATCH_BYTES {
            return false;
        }
        self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.waiting.fetch_add(1, Ordering::Relaxed);
        // A printer that has ended has reported its error or has reached its limit.
        drop(self.events.send(event));
        true
    }
}

impl Printer {
    /// Prints until the sender is dropped or the limit is reached.
    ///
    /// # Errors
    /// Stdout cannot be written.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut left = self.limit;
        while left > 0
            && let Ok(first) = self.events.recv()
        {
            let (mut lines, mut printed, mut done, mut next) = (Vec::new(), 0, 0, Some(first));
            while let Some(event) = next {
                self.counts.waiting_bytes.fetch_sub(memory_of(&event), Ordering::Relaxed);
                match line::append(&event, &mut lines) {
                    Ok(()) => printed += 1,
                    Err(error) => {
                        output::note(&format!("an event on {} is invalid: {error}", event.topic));
                    }
                }
                done += 1;
                let has_room = printed < left && lines.len() < WRITE_BYTES;
                next = if has_room { self.events.try_recv().ok() } else { None };
            }
            output::json_lines(&lines)?;
            left -= printed;
            self.counts.printed.fetch_add(printed, Ordering::Relaxed);
            self.counts.waiting.fetch_sub(done, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Counts {
    pub(super) fn printed(&self) -> u64 {
        self.printed.load(Ordering::Relaxed)
    }

    /// Returns the number of events in the queue.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn memory_of(event: &Received) -> usize {
    event.body.len() + event.topic.len() + EVENT_OVERHEAD
}

#[cfg(test)]
mod tests {
    use decnet_bus::Topic;

    use super::*;

    #[test]
    fn queue_is_bounded_in_bytes() {
        let (ahead, printer, counts) = queue(u64::MAX);
        let event = Received { topic: Topic::new("a".into()).unwrap(), body: vec![b'x'; 1 << 20].into() };
        let taken = (0..100).filter(|_| ahead.push(event.clone())).count();
        assert_eq!(taken, MAX_WATCH_BYTES / memory_of(&event));
        assert_eq!(counts.waiting(), 63);
        drop(printer.events.recv().unwrap());
        counts.waiting_bytes.fetch_sub(memory_of(&event), Ordering::Relaxed);
        assert!(ahead.push(event.clone()) && !ahead.push(event));
    }
}
