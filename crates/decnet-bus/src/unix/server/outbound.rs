//! What waits for one reader, bounded: a reader that does not read loses its oldest events, and nobody waits.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use decnet_core::limits::{MAX_LOSSLESS_OUTBOUND_BYTES, MAX_OUTBOUND_FRAMES};
use tokio::sync::Notify;

use super::batch::Batch;
use crate::said::Said;

/// A client that greets with this name gets a queue bounded in bytes
/// ([`MAX_LOSSLESS_OUTBOUND_BYTES`]) instead of in frames, so that a burst it is slow to read is not lost.
pub const LOSSLESS_CLIENT_NAME: &str = "decnet-webhook lossless";

/// Frames taken for one write: as many slices as one call of tokio's `write_buf` passes on.
const BATCH_FRAMES: usize = 64;
/// Memory that a frame costs beside its bytes, so that tiny frames are bounded too.
const FRAME_OVERHEAD: usize = 128;

/// The queue between the hub and the writer of one connection.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    ready: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Frames(usize),
    Bytes(usize),
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    bound: Bound,
    /// For the log.
    reader: Box<str>,
    dropped: Said,
}

impl Outbound {
    pub(super) fn new() -> Self {
        let queue = Queue {
            frames: VecDeque::new(),
            bytes: 0,
            bound: Bound::Frames(MAX_OUTBOUND_FRAMES),
            reader: "unnamed".into(),
            dropped: Said::default(),
        };
        Self { queue: Mutex::new(queue), ready: Notify::new() }
    }

    /// Takes the name that a client greets with; `lossless` is what the hub grants, see
    /// [`LOSSLESS_CLIENT_NAME`].
    pub(super) fn rename(&self, name: &str, lossless: bool) {
        let mut queue = self.lock();
        queue.reader = name.into();
        queue.bound = if lossless {
            Bound::Bytes(MAX_LOSSLESS_OUTBOUND_BYTES)
        } else {
            Bound::Frames(MAX_OUTBOUND_FRAMES)
        };
    }

    /// What the client calls itself.
    pub(super) fn reader(&self) -> Box<str> {
        self.lock().reader.clone()
    }

    /// Appends a frame, in place of the oldest ones if the queue is full. Never waits.
    pub(super) fn push(&self, frame: Bytes) {
        let mut queue = self.lock();
        let was_empty = queue.frames.is_empty();
        queue.push(frame);
        drop(queue);
        if was_empty {
            self.ready.notify_one();
        }
    }

    /// Waits for frames and moves the first of them to `batch`. Loses nothing when it is cancelled.
    pub(super) async fn take(&self, batch: &mut Batch) {
        while !self.try_take(batch) {
            self.ready.notified().await;
        }
    }

    /// Moves the first frames to `batch`; false if there are none.
    pub(super) fn try_take(&self, batch: &mut Batch) -> bool {
        let mut queue = self.lock();
        let taken = queue.frames.len().min(BATCH_FRAMES);
        for _ in 0..taken {
            queue.pop().into_iter().for_each(|frame| batch.push(frame));
        }
        taken > 0
    }

    /// A thread that panicked inside left at worst a wrong count of bytes.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, frame: Bytes) {
        self.bytes += cost(&frame);
        self.frames.push_back(frame);
        while self.is_over() && self.pop().is_some() {
            let events = self.dropped.again(Instant::now());
            self.say_lost(events);
        }
    }

    fn say_lost(&self, events: Option<u64>) {
        if let Some(events) = events {
            let reader = &self.reader;
            tracing::warn!(
                ?reader,
                events,
                "a slow bus reader lost its oldest events: it has to read faster"
            );
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        Some(frame)
    }

    fn is_over(&self) -> bool {
        match self.bound {
            Bound::Frames(most) => self.frames.len() > most,
            Bound::Bytes(most) => self.bytes > most,
        }
    }
}

impl Drop for Queue {
    /// The count is complete when its reader has gone.
    fn drop(&mut self) {
        let events = self.dropped.unsaid();
        self.say_lost(events);
    }
}

fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    fn drain(outbound: &Outbound) -> Vec<u8> {
        let (mut batch, mut all) = (Batch::default(), Vec::new());
        while outbound.try_take(&mut batch) {
            while batch.has_remaining() {
                let chunk = batch.chunk().to_vec();
                batch.advance(chunk.len());
                all.extend(chunk);
            }
        }
        all
    }

    #[test]
    fn a_full_queue_drops_its_oldest() {
        let outbound = Outbound::new();
        let surplus = 10;
        let number = |n: usize| Bytes::from(u32::try_from(n).unwrap().to_be_bytes().to_vec());
        (0..MAX_OUTBOUND_FRAMES + surplus).for_each(|n| outbound.push(number(n)));
        let left = drain(&outbound);
        assert_eq!(left.len(), MAX_OUTBOUND_FRAMES * 4);
        assert_eq!(left[..4], number(surplus));
        assert_eq!(left[left.len() - 4..], number(MAX_OUTBOUND_FRAMES + surplus - 1));
    }

    #[test]
    fn a_lossless_queue_is_bounded_in_bytes() {
        let outbound = Outbound::new();
        outbound.rename(LOSSLESS_CLIENT_NAME, true);
        let large = Bytes::from(vec![0; 1 << 20]);
        (0..MAX_LOSSLESS_OUTBOUND_BYTES / large.len() + 5).for_each(|_| outbound.push(large.clone()));
        let bytes = outbound.lock().bytes;
        assert!(
            bytes <= MAX_LOSSLESS_OUTBOUND_BYTES && bytes > MAX_LOSSLESS_OUTBOUND_BYTES - 2 * large.len()
        );
        assert_eq!(drain(&outbound).len() % large.len(), 0);
        assert_eq!(outbound.lock().bytes, 0);
    }
}
