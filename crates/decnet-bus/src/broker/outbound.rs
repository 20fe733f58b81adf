//! The queue between the hub and the writer of one connection. An ordinary reader that is too slow loses its oldest
//! events; for a lossless reader, publishers wait first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::{Buf as _, Bytes};
use decnet_runtime::sync::lock;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio_util::sync::CancellationToken;

use super::batch::Batch;
use super::counters::Counters;
use super::queue::{Bound, Queue};

/// The maximum number of frames of one write: the number of slices that tokio's `write_buf` passes on.
const BATCH_FRAMES: usize = 64;
/// The maximum number of bytes of one write beyond its first frame: about what a socket accepts at once. Frames that
/// were taken can no longer be dropped.
const BATCH_BYTES: usize = 256 * 1024;

/// The waiting frames of one reader.
#[derive(Debug)]
pub(super) struct Outbound {
    queue: Mutex<Queue>,
    ready: Notify,
    /// See [`Self::changed`].
    changed: Arc<Notify>,
    /// Cancelled when the connection is to be closed.
    pub(super) evicted: CancellationToken,
}

impl Outbound {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            queue: Mutex::new(Queue::new(counters)),
            ready: Notify::new(),
            changed: Arc::default(),
            evicted: CancellationToken::new(),
        }
    }

    /// Sets the reader's name and bound, and the reason if its claim to a lossless queue was refused.
    pub(super) fn rename(&self, name: &str, bound: Bound, refused: Option<Box<str>>) {
        self.queue().rename(name, bound, refused);
        self.changed.notify_waiters();
        self.ready.notify_one();
    }

    /// Returns the name that the client sent.
    pub(super) fn reader(&self) -> Box<str> {
        self.queue().reader().into()
    }

    /// Drops the older half of the waiting frames. Returns the number of freed bytes.
    pub(super) fn drop_older_half(&self) -> usize {
        let freed = self.queue().drop_older_half();
        self.ready.notify_one();
        freed
    }

    /// Resolves when there is room again, the reader has disconnected, or a successor has taken its frames. Changes count
    /// from this call on, even before the first poll.
    pub(super) fn changed(&self) -> OwnedNotified {
        Arc::clone(&self.changed).notified_owned()
    }

    /// Returns the notification to wait for before this frame is pushed; `None` if it may be pushed now.
    pub(super) fn wait_for_room(&self, frame: &Bytes, now: Instant) -> Option<OwnedNotified> {
        let mut queue = self.queue();
        let has_to_wait = !queue.has_room(frame) && queue.should_wait(now);
        has_to_wait.then(|| self.changed())
    }

    /// Adds frames to the queue, and wakes the writer if the queue was empty. Never waits.
    pub(super) fn add(&self, add: impl FnOnce(&mut Queue)) {
        let mut queue = self.queue();
        let was_empty = queue.len() == 0;
        add(&mut queue);
        drop(queue);
        if was_empty {
            self.ready.notify_one();
        }
    }

    /// Marks the reader as disconnected: publishers no longer wait for it.
    pub(super) fn abandon(&self) {
        self.queue().abandon();
        self.changed.notify_waiters();
    }

    /// Removes and returns all waiting frames, for a successor or to discard them.
    pub(super) fn clear(&self) -> VecDeque<Bytes> {
        let frames = self.queue().clear();
        self.changed.notify_waiters();
        frames
    }

    /// Waits for frames and moves the first of them to `batch`, whose earlier frames must all have been written. Cancel safe.
    pub(super) async fn take(&self, batch: &mut Batch) {
        while !self.try_take(batch) {
            self.ready.notified().await;
        }
    }

    /// Moves a due notice and the first frames to `batch`, whose earlier frames must all have been written. Returns false if
    /// there is nothing to write.
    pub(super) fn try_take(&self, batch: &mut Batch) -> bool {
        let mut queue = self.queue();
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
        batch.retain_written(queue.in_socket());
        if queue.take_relief() {
            self.changed.notify_waiters();
        }
        batch.has_remaining()
    }

    /// Locks the queue. Ignores poisoning: a panic while the lock was held leaves at worst a wrong count of bytes.
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}
