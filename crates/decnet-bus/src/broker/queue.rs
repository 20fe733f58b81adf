//! The bounded queue of one reader, and the backpressure of a full queue.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::limits::{MAX_OUTBOUND_BYTES, MAX_OUTBOUND_FRAMES};

use super::counters::Counters;
use crate::notice::Notice;
use decnet_runtime::log_throttle::LogThrottle;

/// The memory of a frame in addition to its bytes, so that tiny frames are bounded too.
const FRAME_OVERHEAD: usize = 128;
/// The part (1/n) of a full queue that must be read before publishers resume, so that they do not wake for each frame.
const RESUME_PART: usize = 64;

/// The bound of a reader's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// [`MAX_OUTBOUND_FRAMES`] frames, as in DECNET's daemon, in [`MAX_OUTBOUND_BYTES`]; then the oldest are dropped.
    Ordinary,
    /// Publishers wait for room; after `pause` the oldest frames are dropped, at once if it is zero.
    Lossless {
        /// The maximum size in bytes.
        max_bytes: usize,
        pause: Duration,
        /// The bytes that the socket may hold: the frames written last are retained up to this size.
        in_socket: usize,
    },
}

/// The backpressure of a lossless queue on its publishers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    None,
    /// Publishers wait for room.
    Waiting {
        since: Instant,
    },
    /// The maximum pause has passed: until there is room again, publishers do not wait.
    Expired,
}

#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The bytes of the frames that are being written.
    taken: usize,
    /// The number of frames added since the connection began, including those of a predecessor.
    added: u64,
    bound: Bound,
    pressure: Pressure,
    counters: Arc<Counters>,
    /// The reader's name, for the log.
    reader: Box<str>,
    dropped: LogThrottle,
    pauses: LogThrottle,
    notice: Notice,
    wants_notices: bool,
    /// Whether the notice has changed since it was sent.
    is_notice_due: bool,
}

impl Queue {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            taken: 0,
            added: 0,
            bound: Bound::Ordinary,
            pressure: Pressure::None,
            counters,
            reader: "unnamed".into(),
            dropped: LogThrottle::default(),
            pauses: LogThrottle::default(),
            notice: Notice::default(),
            wants_notices: false,
            is_notice_due: false,
        }
    }

    /// Sets the reader's name and bound, and the reason if it does not get the bound that its name requests.
    pub(super) fn rename(&mut self, name: &str, bound: Bound, refused: Option<Box<str>>) {
        self.reader = name.into();
        self.uncharge(self.bytes + self.taken);
        self.bound = bound;
        self.charge(self.bytes + self.taken);
        self.pressure = Pressure::None;
        self.notice.refused = refused;
        self.is_notice_due = true;
    }

    pub(super) fn reader(&self) -> &str {
        &self.reader
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns the memory of the waiting frames and of those being written, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.taken
    }

    /// Returns how many of the bytes written last are to be retained; 0 for an ordinary queue.
    pub(super) fn in_socket(&self) -> usize {
        if let Bound::Lossless { in_socket, .. } = self.bound { in_socket } else { 0 }
    }

    /// Sends the reader notices from now on.
    pub(super) fn enable_notices(&mut self) {
        (self.wants_notices, self.is_notice_due) = (true, true);
    }

    /// Returns the reason why the reader does not get the bound that its name requests.
    pub(super) fn refused(&self) -> Option<&str> {
        self.notice.refused.as_deref()
    }

    /// Returns the notice that is due, and marks it as sent.
    pub(super) fn take_notice(&mut self) -> Option<&Notice> {
        let is_due = self.wants_notices && std::mem::take(&mut self.is_notice_due);
        is_due.then_some(&self.notice)
    }

    /// Appends a frame. If the bound is exceeded, drops the oldest frames.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.append(frame);
        self.trim();
    }

    /// Appends an event of the bus itself. Unlike [`Self::push`], drops nothing while publishers wait for the reader.
    pub(super) fn push_own(&mut self, frame: Bytes) {
        self.append(frame);
        if !matches!(self.pressure, Pressure::Waiting { .. }) {
            self.trim();
        }
    }

    /// Inserts frames before all others. If the bound is exceeded, drops the oldest frames.
    pub(super) fn prepend(&mut self, frames: VecDeque<Bytes>) {
        let bytes = frames.iter().map(cost).sum::<usize>();
        self.bytes += bytes;
        self.charge(bytes);
        let later = std::mem::replace(&mut self.frames, frames);
        self.frames.extend(later);
        self.trim();
    }

    /// Works like [`Self::prepend`], but the frames count as added to this connection.
    pub(super) fn inherit(&mut self, frames: VecDeque<Bytes>) {
        self.added += u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.prepend(frames);
    }

    /// Returns the position of the newest frame in the stream: the number of frames added since the connection began,
    /// including those of a predecessor.
    pub(super) fn position(&self) -> u64 {
        self.added
    }

    /// Returns the position up to which every frame is received or dropped, for a reader that has received `received` frames.
    pub(super) fn position_after(&self, received: u64) -> u64 {
        received.saturating_add(self.notice.lost)
    }

    /// Takes the first frame to be written. Its memory is counted until [`Self::written`].
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        self.taken += cost(&frame);
        Some(frame)
    }

    /// Records that all taken frames are written.
    pub(super) fn written(&mut self) {
        self.uncharge(self.taken);
        self.taken = 0;
        if self.frames.is_empty() {
            self.frames.shrink_to(MAX_OUTBOUND_FRAMES);
        }
    }

    pub(super) fn clear(&mut self) -> VecDeque<Bytes> {
        self.uncharge(self.bytes);
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }

    /// Drops the older half of the waiting frames. Returns the number of freed bytes.
    pub(super) fn drop_older_half(&mut self) -> usize {
        let before = self.bytes;
        let half = before / 2;
        while self.bytes > half && self.drop_oldest() {}
        let events = self.dropped.due(Instant::now());
        self.log_dropped(events);
        before - self.bytes
    }

    /// Marks the reader as disconnected, so that publishers do not wait for it.
    pub(super) fn abandon(&mut self) {
        if let Bound::Lossless { pause, .. } = &mut self.bound {
            *pause = Duration::ZERO;
        }
        self.pressure = Pressure::None;
    }

    /// Returns whether the frame fits. An ordinary queue always makes room; an empty queue takes any frame.
    pub(super) fn has_room(&self, frame: &Bytes) -> bool {
        match self.bound {
            Bound::Ordinary => true,
            Bound::Lossless { max_bytes, .. } => {
                self.frames.is_empty() || self.bytes + cost(frame) <= max_bytes
            }
        }
    }

    /// Returns whether publishers should wait for the reader of a full queue. The first call starts the maximum pause.
    pub(super) fn should_wait(&mut self, now: Instant) -> bool {
        let Bound::Lossless { pause, .. } = self.bound else { return false };
        if self.pressure == Pressure::None && !pause.is_zero() {
            self.pressure = Pressure::Waiting { since: now };
            self.counters.pauses.add(1);
            self.log_paused(now);
        }
        if let Pressure::Waiting { since } = self.pressure
            && now.saturating_duration_since(since) < pause
        {
            return true;
        }
        self.pressure = Pressure::Expired;
        false
    }

    /// Returns whether there is room again; true once each time the queue stops being full.
    pub(super) fn take_relief(&mut self) -> bool {
        let Bound::Lossless { max_bytes, .. } = self.bound else { return false };
        let has_room = self.frames.is_empty() || self.bytes <= max_bytes - max_bytes / RESUME_PART;
        has_room && std::mem::replace(&mut self.pressure, Pressure::None) != Pressure::None
    }

    fn append(&mut self, frame: Bytes) {
        self.bytes += cost(&frame);
        self.added += 1;
        self.charge(cost(&frame));
        self.frames.push_back(frame);
    }

    fn trim(&mut self) {
        let before = self.frames.len();
        while self.is_over() && self.drop_oldest() {}
        if self.frames.len() < before {
            let events = self.dropped.due(Instant::now());
            self.log_dropped(events);
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        self.bytes -= cost(&frame);
        self.uncharge(cost(&frame));
        self.notice.lost += 1;
        self.is_notice_due = true;
        match self.bound {
            Bound::Ordinary => self.counters.ordinary.add(1),
            Bound::Lossless { .. } => self.counters.lossless.add(1),
        }
        self.dropped.add(1);
        true
    }

    fn is_over(&self) -> bool {
        match self.bound {
            Bound::Ordinary => self.frames.len() > MAX_OUTBOUND_FRAMES || self.memory() > MAX_OUTBOUND_BYTES,
            Bound::Lossless { max_bytes, .. } => self.bytes > max_bytes,
        }
    }

    fn charge(&self, bytes: usize) {
        if self.bound == Bound::Ordinary {
            self.counters.outbound_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn uncharge(&self, bytes: usize) {
        if self.bound == Bound::Ordinary {
            self.counters.outbound_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    fn log_dropped(&self, events: Option<u64>) {
        if let Some(events) = events {
            let reader = &self.reader;
            tracing::warn!(
                ?reader,
                events,
                "dropped the oldest events of a slow bus reader: it has to read faster, or reconnect sooner"
            );
        }
    }

    fn log_paused(&mut self, now: Instant) {
        if let Some(times) = self.pauses.record(now) {
            let reader = &self.reader;
            tracing::warn!(?reader, times, "publishers wait for a slow bus reader: it has to read faster");
        }
    }
}

impl Drop for Queue {
    /// Logs the rest of the dropped events.
    fn drop(&mut self) {
        let events = self.dropped.take_pending();
        self.log_dropped(events);
        self.uncharge(self.memory());
    }
}

fn cost(frame: &Bytes) -> usize {
    frame.len() + FRAME_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ROOM_FOR_TWO: usize = 3 << 20;

    fn lossless(max_bytes: usize) -> Queue {
        let mut queue = Queue::new(Arc::default());
        queue.rename("reader", Bound::Lossless { max_bytes, pause: 10 * SECOND, in_socket: 0 }, None);
        queue
    }

    fn large(first: u8) -> Bytes {
        let mut bytes = vec![0; 1 << 20];
        bytes[0] = first;
        bytes.into()
    }

    fn first_bytes(queue: &mut Queue) -> Vec<u8> {
        std::iter::from_fn(|| queue.take()).map(|frame| frame[0]).collect()
    }

    #[test]
    fn a_full_queue_drops_its_oldest_frame() {
        let (mut queue, excess) = (Queue::new(Arc::default()), 10);
        let number = |n: usize| Bytes::from(u32::try_from(n).unwrap().to_be_bytes().to_vec());
        for n in 0..MAX_OUTBOUND_FRAMES + excess {
            assert!(queue.has_room(&number(n)));
            queue.push(number(n));
        }
        assert_eq!(queue.len(), MAX_OUTBOUND_FRAMES);
        assert_eq!(queue.take(), Some(number(excess)));
        assert_eq!(queue.clear().back(), Some(&number(MAX_OUTBOUND_FRAMES + excess - 1)));
    }

    #[test]
    fn an_ordinary_queue_is_bounded_in_bytes_too() {
        let counters = Arc::<Counters>::default();
        let mut queue = Queue::new(Arc::clone(&counters));
        (0..4).for_each(|n| queue.push(large(n)));
        (0..2).for_each(|_| assert!(queue.take().is_some()));
        (4..30).for_each(|n| queue.push(large(n)));
        assert!(queue.memory() <= MAX_OUTBOUND_BYTES, "frames being written count");
        assert_eq!(counters.outbound_bytes(), queue.memory());
        assert_eq!(first_bytes(&mut queue), (17..30).collect::<Vec<u8>>());
        queue.written();
        assert_eq!((queue.memory(), counters.outbound_bytes()), (0, 0));
        assert_eq!(counters.read().dropped_ordinary, 15);
    }

    #[test]
    fn total_memory_is_the_sum_of_all_queues() {
        let counters = Arc::<Counters>::default();
        let (mut one, mut other) = (Queue::new(Arc::clone(&counters)), Queue::new(Arc::clone(&counters)));
        (0..4).for_each(|n| one.push(large(n)));
        (0..3).for_each(|n| other.push(large(n)));
        assert_eq!(counters.outbound_bytes(), one.memory() + other.memory());
        assert!(one.drop_older_half() > 2 << 20);
        assert_eq!(counters.outbound_bytes(), one.memory() + other.memory());
        other.rename("lossless", Bound::Lossless { max_bytes: 9 << 20, pause: SECOND, in_socket: 0 }, None);
        assert_eq!(counters.outbound_bytes(), one.memory(), "lossless queues have bounds of their own");
        other.rename("ordinary", Bound::Ordinary, None);
        assert_eq!(other.clear().len(), 3);
        assert_eq!(counters.outbound_bytes(), one.memory());
        drop(one);
        assert_eq!(counters.outbound_bytes(), 0);
    }

    #[test]
    fn a_requested_notice_is_due_after_every_change() {
        let mut queue = Queue::new(Arc::default());
        queue.push(large(0));
        queue.drop_older_half();
        assert_eq!(queue.take_notice(), None);
        queue.enable_notices();
        assert_eq!(queue.take_notice(), Some(&Notice { refused: None, lost: 1 }));
        assert_eq!(queue.take_notice(), None);
        queue.push(large(0));
        assert_eq!(queue.take_notice(), None);
        queue.drop_older_half();
        queue.rename("worker", Bound::Ordinary, Some("why".into()));
        assert_eq!(queue.take_notice(), Some(&Notice { refused: Some("why".into()), lost: 2 }));
    }

    #[test]
    fn a_lossless_queue_is_bounded_in_bytes() {
        let max_bytes = 20 << 20;
        let mut queue = lossless(max_bytes);
        (0..25).for_each(|n| queue.push(large(n)));
        assert!(queue.bytes <= max_bytes && queue.bytes > max_bytes - 2 * (1 << 20));
        assert_eq!(first_bytes(&mut queue), (6..25).collect::<Vec<u8>>());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn publishers_wait_no_longer_than_the_maximum_pause() {
        let (mut queue, start) = (lossless(ROOM_FOR_TWO), Instant::now());
        (0..2).for_each(|n| queue.push(large(n)));
        assert!(!queue.has_room(&large(2)) && !queue.take_relief());
        for (seconds, should_wait) in [(0, true), (9, true), (10, false), (11, false)] {
            assert_eq!(queue.should_wait(start + seconds * SECOND), should_wait, "after {seconds} s");
        }
        queue.take();
        assert_eq!((queue.take_relief(), queue.take_relief()), (true, false));
        assert!(queue.should_wait(start + 12 * SECOND), "it has read since");
    }

    #[test]
    fn events_of_the_bus_drop_nothing_while_publishers_wait() {
        let mut queue = lossless(ROOM_FOR_TWO);
        (0..2).for_each(|n| queue.push(large(n)));
        assert!(queue.should_wait(Instant::now()));
        queue.push_own(large(2));
        assert_eq!(first_bytes(&mut queue), [0, 1, 2]);
    }

    #[test]
    fn publishers_do_not_wait_for_a_disconnected_reader() {
        let mut queue = lossless(ROOM_FOR_TWO);
        queue.abandon();
        for n in 1..9 {
            assert!(!queue.should_wait(Instant::now()));
            queue.push(large(n));
        }
        queue.prepend([Bytes::from_static(b"\0")].into());
        assert_eq!(first_bytes(&mut queue), [0, 7, 8]);
        (1..3).for_each(|n| queue.push(large(n)));
        queue.prepend([large(0)].into());
        assert_eq!(first_bytes(&mut queue), [1, 2], "the oldest are dropped first");
    }
}
