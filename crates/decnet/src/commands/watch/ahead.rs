//! Events that were read from the bus and wait to be printed.
//!
//! A bus drops what a slow reader leaves unread, and stdout can be slow: a disk, a pager, a terminal. So the bus is read by
//! one thread and stdout is written by another one, with a queue between them that is bounded in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

use decnet_bus::Received;
use decnet_core::limits::MAX_WATCH_BYTES;

use super::line;
use crate::output;

/// Memory that an event takes beside its body, about.
const EVENT_OVERHEAD: usize = 128;
/// Bytes of lines that are written at once, beyond the first line.
const WRITE_BYTES: usize = 64 * 1024;

/// The side of the queue that reads the bus. Dropped, it ends the printing once everything is printed.
pub(super) struct ReadAhead {
    events: mpsc::Sender<Received>,
    counts: Arc<Counts>,
}

/// The side that prints.
pub(super) struct Printer {
    events: mpsc::Receiver<Received>,
    counts: Arc<Counts>,
    most: u64,
}

/// What both sides count.
#[derive(Default)]
pub(super) struct Counts {
    waiting_bytes: AtomicUsize,
    taken: AtomicU64,
    /// Events that are printed, or that could not be read and were reported.
    done: AtomicU64,
    printed: AtomicU64,
}

/// A queue whose printer ends after `most` events.
pub(super) fn queue(most: u64) -> (ReadAhead, Printer, Arc<Counts>) {
    let (sender, receiver) = mpsc::channel();
    let counts = Arc::<Counts>::default();
    let ahead = ReadAhead { events: sender, counts: Arc::clone(&counts) };
    (ahead, Printer { events: receiver, counts: Arc::clone(&counts), most }, counts)
}

impl ReadAhead {
    /// Takes an event; false if there is no room for it.
    pub(super) fn push(&self, event: Received) -> bool {
        let bytes = memory_of(&event);
        if self.counts.waiting_bytes.load(Ordering::Relaxed) + bytes > MAX_WATCH_BYTES {
            return false;
        }
        self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counts.taken.fetch_add(1, Ordering::Relaxed);
        // A printer that has ended has said why, or has printed all that was asked for.
        drop(self.events.send(event));
        true
    }
}

impl Printer {
    /// Prints until there is nothing more to come, or as many events as wanted are printed.
    ///
    /// # Errors
    /// Stdout that takes nothing more.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let mut left = self.most;
        while left > 0
            && let Ok(first) = self.events.recv()
        {
            let (mut lines, mut printed, mut done, mut next) = (Vec::new(), 0, 0, Some(first));
            while let Some(event) = next {
                self.counts.waiting_bytes.fetch_sub(memory_of(&event), Ordering::Relaxed);
                match line::append(&event, &mut lines) {
                    Ok(()) => printed += 1,
                    Err(error) => {
                        output::say(&format!("an event on {} cannot be read: {error}", event.topic));
                    }
                }
                done += 1;
                let goes_on = printed < left && lines.len() < WRITE_BYTES;
                next = if goes_on { self.events.try_recv().ok() } else { None };
            }
            output::json_lines(&lines)?;
            left -= printed;
            self.counts.printed.fetch_add(printed, Ordering::Relaxed);
            self.counts.done.fetch_add(done, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl Counts {
    pub(super) fn printed(&self) -> u64 {
        self.printed.load(Ordering::Relaxed)
    }

    /// Events that were taken and are not printed.
    pub(super) fn waiting(&self) -> u64 {
        self.taken.load(Ordering::Relaxed) - self.done.load(Ordering::Relaxed)
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
    fn the_queue_is_bounded_in_bytes_and_counts_what_it_takes() {
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
