//! The frames that wait for one reader, how much that may be, and who waits when it is too much.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::limits::{MAX_OUTBOUND_BYTES, MAX_OUTBOUND_FRAMES};

use super::tally::Tally;
use crate::notice::Notice;
use crate::said::Said;

/// Memory that a frame costs beside its bytes, so that tiny frames are bounded too.
const FRAME_OVERHEAD: usize = 128;
/// The part of a full queue that is read before its publishers go on, so that they do not wake for each frame.
const ROOM_PART: usize = 64;

/// How much may wait for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// [`MAX_OUTBOUND_FRAMES`] frames, as at DECNET's daemon, in [`MAX_OUTBOUND_BYTES`]; then the oldest are dropped.
    Ordinary,
    /// Publishers wait for room; after `pause` the oldest frames are dropped, at once if it is zero.
    Lossless {
        /// In bytes.
        most: usize,
        pause: Duration,
        /// Bytes that the socket may hold: the frames written last are kept for as long as they may be there.
        in_socket: usize,
    },
}

/// How a lossless queue stands with its publishers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pressure {
    None,
    /// Publishers wait for room.
    Waited {
        since: Instant,
    },
    /// The reader has used up its time: nobody waits until there is room.
    Overdue,
}

#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Bytes of the frames that are being written.
    taken: usize,
    /// Frames added since the connection began, those of a predecessor included.
    added: u64,
    bound: Bound,
    pressure: Pressure,
    tally: Arc<Tally>,
    /// For the log.
    reader: Box<str>,
    dropped: Said,
    pauses: Said,
    notice: Notice,
    notices: Notices,
}

/// Whether the reader is sent notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notices {
    Off,
    /// The reader has been sent the present one.
    Sent,
    /// The present one is to be sent.
    Due,
}

impl Queue {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            taken: 0,
            added: 0,
            bound: Bound::Ordinary,
            pressure: Pressure::None,
            tally,
            reader: "unnamed".into(),
            dropped: Said::default(),
            pauses: Said::default(),
            notice: Notice::default(),
            notices: Notices::Off,
        }
    }

    /// Takes the reader's name and bound, and why it does not get the bound that its name asks for.
    pub(super) fn rename(&mut self, name: &str, bound: Bound, refused: Option<Box<str>>) {
        self.reader = name.into();
        self.uncharge(self.bytes + self.taken);
        self.bound = bound;
        self.charge(self.bytes + self.taken);
        self.pressure = Pressure::None;
        self.notice.refused = refused;
        self.notices = self.notices.due();
    }

    pub(super) fn reader(&self) -> &str {
        &self.reader
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Memory of what waits and of what is being written.
    pub(super) fn memory(&self) -> usize {
        self.bytes + self.taken
    }

    /// Bytes that the socket may hold, if what is written is to be kept for that.
    pub(super) fn in_socket(&self) -> usize {
        if let Bound::Lossless { in_socket, .. } = self.bound { in_socket } else { 0 }
    }

    /// Sends the reader notices from now on.
    pub(super) fn enable_notices(&mut self) {
        self.notices = Notices::Due;
    }

    /// Why the reader does not get the bound that it asked for.
    pub(super) fn refused(&self) -> Option<&str> {
        self.notice.refused.as_deref()
    }

    /// The notice that is to be sent now, if one is.
    pub(super) fn take_notice(&mut self) -> Option<&Notice> {
        if self.notices != Notices::Due {
            return None;
        }
        self.notices = Notices::Sent;
        Some(&self.notice)
    }

    /// Appends a frame, in place of the oldest ones if that is too much.
    pub(super) fn push(&mut self, frame: Bytes) {
        self.append(frame);
        self.trim();
    }

    /// Appends a frame, and drops none while the reader is waited for.
    pub(super) fn push_own(&mut self, frame: Bytes) {
        self.append(frame);
        if !matches!(self.pressure, Pressure::Waited { .. }) {
            self.trim();
        }
    }

    /// Puts frames before all others, the oldest of which go if that is too much.
    pub(super) fn prepend(&mut self, frames: VecDeque<Bytes>) {
        let bytes = frames.iter().map(cost).sum::<usize>();
        self.bytes += bytes;
        self.charge(bytes);
        let later = std::mem::replace(&mut self.frames, frames);
        self.frames.extend(later);
        self.trim();
    }

    /// As [`Self::prepend`], but the frames are new to this connection.
    pub(super) fn inherit(&mut self, frames: VecDeque<Bytes>) {
        self.added += u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.prepend(frames);
    }

    /// Frames added since the connection began, those of a predecessor included.
    pub(super) fn added(&self) -> u64 {
        self.added
    }

    /// Frames dropped since the connection began.
    pub(super) fn lost(&self) -> u64 {
        self.notice.lost
    }

    /// Takes the first frame to be written. Its memory counts until [`Self::written`].
    pub(super) fn take(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        self.taken += cost(&frame);
        Some(frame)
    }

    /// All frames that were taken are written.
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

    /// Drops the older half of what waits. Returns how many bytes that freed.
    pub(super) fn lose_half(&mut self) -> usize {
        let before = self.bytes;
        let half = before / 2;
        while self.bytes > half && self.drop_oldest() {}
        self.report_lost_if_due();
        before - self.bytes
    }

    /// Nobody reads any more, so nobody is to wait for that.
    pub(super) fn abandon(&mut self) {
        if let Bound::Lossless { pause, .. } = &mut self.bound {
            *pause = Duration::ZERO;
        }
        self.pressure = Pressure::None;
    }

    /// An ordinary queue always makes room; a single frame always has some.
    pub(super) fn has_room(&self, frame: &Bytes) -> bool {
        match self.bound {
            Bound::Ordinary => true,
            Bound::Lossless { most, .. } => self.frames.is_empty() || self.bytes + cost(frame) <= most,
        }
    }

    /// Is the reader of a full queue given more time? The first that asks starts the clock.
    pub(super) fn is_waited_for(&mut self, now: Instant) -> bool {
        let Bound::Lossless { pause, .. } = self.bound else { return false };
        if self.pressure == Pressure::None && !pause.is_zero() {
            self.pressure = Pressure::Waited { since: now };
            self.tally.pauses.add(1);
            self.say_paused(now);
        }
        if let Pressure::Waited { since } = self.pressure
            && now.saturating_duration_since(since) < pause
        {
            return true;
        }
        self.pressure = Pressure::Overdue;
        false
    }

    /// Is there room again? True once for each time that there was none.
    pub(super) fn is_relieved(&mut self) -> bool {
        let Bound::Lossless { most, .. } = self.bound else { return false };
        let has_room = self.frames.is_empty() || self.bytes <= most - most / ROOM_PART;
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
            self.report_lost_if_due();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        self.bytes -= cost(&frame);
        self.uncharge(cost(&frame));
        self.notice.lost += 1;
        self.notices = self.notices.due();
        match self.bound {
            Bound::Ordinary => self.tally.ordinary.add(1),
            Bound::Lossless { .. } => self.tally.lossless.add(1),
        }
        self.dropped.add(1);
        true
    }

    fn is_over(&self) -> bool {
        match self.bound {
            Bound::Ordinary => self.frames.len() > MAX_OUTBOUND_FRAMES || self.memory() > MAX_OUTBOUND_BYTES,
            Bound::Lossless { most, .. } => self.bytes > most,
        }
    }

    fn charge(&self, bytes: usize) {
        if self.bound == Bound::Ordinary {
            self.tally.add_outbound(bytes);
        }
    }

    fn uncharge(&self, bytes: usize) {
        if self.bound == Bound::Ordinary {
            self.tally.sub_outbound(bytes);
        }
    }

    fn report_lost_if_due(&mut self) {
        let events = self.dropped.due(Instant::now());
        self.say_lost(events);
    }

    fn say_lost(&self, events: Option<u64>) {
        if let Some(events) = events {
            let reader = &self.reader;
            tracing::warn!(
                ?reader,
                events,
                "a bus reader lost its oldest events: it has to read faster, or come back sooner"
            );
        }
    }

    fn say_paused(&mut self, now: Instant) {
        if let Some(times) = self.pauses.again(now) {
            let reader = &self.reader;
            tracing::warn!(
                ?reader,
                times,
                "a slow bus reader makes its publishers wait: it has to read faster"
            );
        }
    }
}

impl Drop for Queue {
    /// The count is complete when its reader has gone.
    fn drop(&mut self) {
        let events = self.dropped.unsaid();
        self.say_lost(events);
        self.uncharge(self.memory());
    }
}

impl Notices {
    fn due(self) -> Self {
        if self == Self::Off { self } else { Self::Due }
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

    fn lossless(most: usize) -> Queue {
        let mut queue = Queue::new(Arc::default());
        queue.rename("reader", Bound::Lossless { most, pause: 10 * SECOND, in_socket: 0 }, None);
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
    fn a_full_queue_drops_its_oldest() {
        let (mut queue, surplus) = (Queue::new(Arc::default()), 10);
        let number = |n: usize| Bytes::from(u32::try_from(n).unwrap().to_be_bytes().to_vec());
        for n in 0..MAX_OUTBOUND_FRAMES + surplus {
            assert!(queue.has_room(&number(n)));
            queue.push(number(n));
        }
        assert_eq!(queue.len(), MAX_OUTBOUND_FRAMES);
        assert_eq!(queue.take(), Some(number(surplus)));
        assert_eq!(queue.clear().back(), Some(&number(MAX_OUTBOUND_FRAMES + surplus - 1)));
    }

    #[test]
    fn an_ordinary_queue_is_bounded_in_bytes_too() {
        let tally = Arc::<Tally>::default();
        let mut queue = Queue::new(Arc::clone(&tally));
        (0..4).for_each(|n| queue.push(large(n)));
        (0..2).for_each(|_| assert!(queue.take().is_some()));
        (4..30).for_each(|n| queue.push(large(n)));
        assert!(queue.memory() <= MAX_OUTBOUND_BYTES, "what is being written counts");
        assert_eq!(tally.outbound_bytes(), queue.memory());
        assert_eq!(first_bytes(&mut queue), (17..30).collect::<Vec<u8>>());
        queue.written();
        assert_eq!((queue.memory(), tally.outbound_bytes()), (0, 0));
        assert_eq!(tally.read().dropped_ordinary, 15);
    }

    #[test]
    fn the_memory_of_all_queues_is_what_they_hold() {
        let tally = Arc::<Tally>::default();
        let (mut one, mut other) = (Queue::new(Arc::clone(&tally)), Queue::new(Arc::clone(&tally)));
        (0..4).for_each(|n| one.push(large(n)));
        (0..3).for_each(|n| other.push(large(n)));
        assert_eq!(tally.outbound_bytes(), one.memory() + other.memory());
        assert!(one.lose_half() > 2 << 20);
        assert_eq!(tally.outbound_bytes(), one.memory() + other.memory());
        other.rename("lossless", Bound::Lossless { most: 9 << 20, pause: SECOND, in_socket: 0 }, None);
        assert_eq!(tally.outbound_bytes(), one.memory(), "lossless queues have bounds of their own");
        other.rename("ordinary", Bound::Ordinary, None);
        assert_eq!(other.clear().len(), 3);
        assert_eq!(tally.outbound_bytes(), one.memory());
        drop(one);
        assert_eq!(tally.outbound_bytes(), 0);
    }

    #[test]
    fn a_notice_is_due_with_every_change_and_only_if_asked_for() {
        let mut queue = Queue::new(Arc::default());
        queue.push(large(0));
        queue.lose_half();
        assert_eq!(queue.take_notice(), None);
        queue.enable_notices();
        assert_eq!(queue.take_notice(), Some(&Notice { refused: None, lost: 1 }));
        assert_eq!(queue.take_notice(), None);
        queue.push(large(0));
        assert_eq!(queue.take_notice(), None);
        queue.lose_half();
        queue.rename("worker", Bound::Ordinary, Some("why".into()));
        assert_eq!(queue.take_notice(), Some(&Notice { refused: Some("why".into()), lost: 2 }));
    }

    #[test]
    fn a_lossless_queue_is_bounded_in_bytes() {
        let most = 20 << 20;
        let mut queue = lossless(most);
        (0..25).for_each(|n| queue.push(large(n)));
        assert!(queue.bytes <= most && queue.bytes > most - 2 * (1 << 20));
        assert_eq!(first_bytes(&mut queue), (6..25).collect::<Vec<u8>>());
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn a_reader_is_waited_for_until_its_time_is_up() {
        let (mut queue, start) = (lossless(ROOM_FOR_TWO), Instant::now());
        (0..2).for_each(|n| queue.push(large(n)));
        assert!(!queue.has_room(&large(2)) && !queue.is_relieved());
        for (seconds, is_waited_for) in [(0, true), (9, true), (10, false), (11, false)] {
            assert_eq!(queue.is_waited_for(start + seconds * SECOND), is_waited_for, "after {seconds} s");
        }
        queue.take();
        assert_eq!((queue.is_relieved(), queue.is_relieved()), (true, false));
        assert!(queue.is_waited_for(start + 12 * SECOND), "it has read meanwhile");
    }

    #[test]
    fn what_is_waited_for_is_not_lost_to_the_bus_itself() {
        let mut queue = lossless(ROOM_FOR_TWO);
        (0..2).for_each(|n| queue.push(large(n)));
        assert!(queue.is_waited_for(Instant::now()));
        queue.push_own(large(2));
        assert_eq!(first_bytes(&mut queue), [0, 1, 2]);
    }

    #[test]
    fn nobody_waits_for_a_reader_that_has_gone() {
        let mut queue = lossless(ROOM_FOR_TWO);
        queue.abandon();
        for n in 1..9 {
            assert!(!queue.is_waited_for(Instant::now()));
            queue.push(large(n));
        }
        queue.prepend([Bytes::from_static(b"\0")].into());
        assert_eq!(first_bytes(&mut queue), [0, 7, 8]);
        (1..3).for_each(|n| queue.push(large(n)));
        queue.prepend([large(0)].into());
        assert_eq!(first_bytes(&mut queue), [1, 2], "the oldest go first");
    }
}
