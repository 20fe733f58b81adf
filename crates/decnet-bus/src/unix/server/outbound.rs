//! Between the hub and the writer of one connection. An ordinary reader that does not read loses its oldest
//! events and nobody waits; a lossless one is waited for, for a while.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::queue::{Bound, Queue};
use super::tally::Tally;

/// Frames taken for one write: as many slices as one call of tokio's `write_buf` passes on.
const BATCH_FRAMES: usize = 64;
/// Bytes taken for one write, beyond its first frame: about what a socket takes at once. What is taken can no longer be
/// dropped.
const BATCH_BYTES: usize = 256 * 1024;

/// What waits for one reader.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    ready: Notify,
    /// See [`Self::changed`].
    changed: Arc<Notify>,
    /// The connection is to be closed.
    evicted: CancellationToken,
}

impl Outbound {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self {
            queue: Mutex::new(Queue::new(tally)),
            ready: Notify::new(),
            changed: Arc::default(),
            evicted: CancellationToken::new(),
        }
    }

    /// Takes the name that a client greets with and what the hub grants it; of a claim that it refuses, why.
    pub(super) fn rename(&self, name: &str, bound: Bound, refused: Option<Box<str>>) {
        self.lock().rename(name, bound, refused);
        self.changed.notify_waiters();
        self.ready.notify_one();
    }

    /// Sends the reader notices from now on.
    pub(super) fn enable_notices(&self) {
        self.lock().enable_notices();
    }

    /// Why the reader does not get the queue that its name asks for.
    pub(super) fn refused(&self) -> Option<Box<str>> {
        self.lock().refused().map(Into::into)
    }

    /// What the client calls itself.
    pub(super) fn reader(&self) -> Box<str> {
        self.lock().reader().into()
    }

    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Memory of what waits and of what is being written.
    pub(super) fn bytes(&self) -> usize {
        self.lock().memory()
    }

    /// Drops the older half of what waits. Returns how many bytes that freed.
    pub(super) fn lose_half(&self) -> usize {
        let freed = self.lock().lose_half();
        self.ready.notify_one();
        freed
    }

    /// Asks for the connection to be closed.
    pub(super) fn evict(&self) {
        self.evicted.cancel();
    }

    pub(super) fn is_evicted(&self) -> bool {
        self.evicted.is_cancelled()
    }

    /// Resolves when the connection is to be closed.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Resolves when there is room again, the reader has gone, or all was taken from one that had gone; counts from now on, before it is polled.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// What to wait for before this frame is pushed; `None` if it may be pushed now.
    pub(super) fn refuses(&self, frame: &Bytes, now: Instant) -> Option<OwnedNotified> {
        let mut queue = self.lock();
        let has_to_wait = !queue.has_room(frame) && queue.is_waited_for(now);
        has_to_wait.then(|| self.changed())
    }

    /// Appends a frame, in place of the oldest ones if the queue is full. Never waits.
    pub(super) fn push(&self, frame: Bytes) {
        self.add(1, |queue| queue.push(frame));
    }

    /// As [`Self::push`], but a reader that is being waited for loses nothing: for the bus's own few events.
    pub(super) fn push_own(&self, frame: Bytes) {
        self.add(1, |queue| queue.push_own(frame));
    }

    /// Puts frames before all others.
    pub(super) fn prepend(&self, frames: VecDeque<Bytes>) {
        self.add(frames.len(), |queue| queue.prepend(frames));
    }

    /// Puts the frames of a predecessor before all others, as the beginning of the stream.
    pub(super) fn inherit(&self, frames: VecDeque<Bytes>) {
        self.add(frames.len(), |queue| queue.inherit(frames));
    }

    /// The place of the newest frame in the stream: how many were added since the connection began.
    pub(super) fn position(&self) -> u64 {
        self.lock().added()
    }

    /// The place in the stream up to which every frame is received or lost, for a reader that has received so many.
    pub(super) fn passed(&self, received: u64) -> u64 {
        received.saturating_add(self.lock().lost())
    }

    /// From now on nobody reads: nobody waits for room either.
    pub(super) fn abandon(&self) {
        self.lock().abandon();
        self.changed.notify_waiters();
    }

    /// Takes everything out, for a successor or because there is none.
    pub(super) fn clear(&self) -> VecDeque<Bytes> {
        let frames = self.lock().clear();
        self.changed.notify_waiters();
        frames
    }

    /// Waits for frames and moves the first of them to `batch`, of which all is written. Loses nothing when it is
    /// cancelled.
    pub(super) async fn take(&self, batch: &mut Batch) {
        while !self.try_take(batch) {
            self.ready.notified().await;
        }
    }

    /// Moves a notice that is due and the first frames to `batch`, of which all is written; false if there are none.
    pub(super) fn try_take(&self, batch: &mut Batch) -> bool {
        let mut queue = self.lock();
        queue.written();
        queue.take_notice().into_iter().for_each(|notice| batch.push_notice(notice));
        let (mut frames, mut bytes) = (0, 0);
        while frames < BATCH_FRAMES
            && bytes < BATCH_BYTES
            && let Some(frame) = queue.take()
        {
            (frames, bytes) = (frames + 1, bytes + frame.len());
            batch.push(frame);
        }
        batch.hold_written(queue.in_socket());
        if queue.is_relieved() {
            self.changed.notify_waiters();
        }
        batch.has_remaining()
    }

    /// Adds frames, and tells the writer if it had taken all there were.
    fn add(&self, frames: usize, by: impl FnOnce(&mut Queue)) {
        let mut queue = self.lock();
        by(&mut queue);
        let was_empty = queue.len() <= frames;
        drop(queue);
        if was_empty {
            self.ready.notify_one();
        }
    }

    /// A thread that panicked inside left at worst a wrong count of bytes.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
