//! The frames that wait for one reader, how much that may be, and who waits when it is too much.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use decnet_core::limits::MAX_OUTBOUND_FRAMES;

use super::tally::Tally;
use crate::said::Said;

/// Memory that a frame costs beside its bytes, so that tiny frames are bounded too.
const FRAME_OVERHEAD: usize = 128;
/// The part of a full queue that is read before its publishers go on, so that they do not wake for each frame.
const ROOM_PART: usize = 64;

/// How much may wait for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The oldest frame makes room.
    Frames(usize),
    /// Publishers wait for room, the oldest frame makes some after that; with no `pause` it does at once.
    Bytes {
        most: usize,
        pause: Duration,
        /// Bytes that the socket may have in it: they are held on to when they are written.
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
    /// Frames added since the connection began, those of a predecessor included.
    added: u64,
    /// Frames dropped since then.
    lost: u64,
    bound: Bound,
    pressure: Pressure,
    tally: Arc<Tally>,
    /// For the log.
    reader: Box<str>,
    dropped: Said,
    pauses: Said,
}

impl Bound {
    /// DECNET's rule.
    pub(super) const ORDINARY: Self = Self::Frames(MAX_OUTBOUND_FRAMES);
}

impl Queue {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            added: 0,
            lost: 0,
            bound: Bound::ORDINARY,
            pressure: Pressure::None,
            tally,
            reader: "unnamed".into(),
            dropped: Said::default(),
            pauses: Said::default(),
        }
    }

    pub(super) fn rename(&mut self, name: &str, bound: Bound) {
        self.reader = name.into();
        self.bound = bound;
        self.pressure = Pressure::None;
    }

    pub(super) fn reader(&self) -> &str {
        &self.reader
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes that the socket may have in it, if they are to be held on to.
    pub(super) fn in_socket(&self) -> usize {
        if let Bound::Bytes { in_socket, .. } = self.bound { in_socket } else { 0 }
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
        self.bytes += frames.iter().map(cost).sum::<usize>();
        let later = std::mem::replace(&mut self.frames, frames);
        self.frames.extend(later);
        self.trim();
    }

    /// As [`Self::prepend`], but the frames are new to this connection.
    pub(super) fn inherit(&mut self, frames: VecDeque<Bytes>) {
        self.added += u64::try_from(frames.len()).unwrap_or(u64::MAX);
        self.prepend(frames);
    }

    pub(super) fn added(&self) -> u64 {
        self.added
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn pop(&mut self) -> Option<Bytes> {
        let frame = self.frames.pop_front()?;
        self.bytes -= cost(&frame);
        Some(frame)
    }

    pub(super) fn clear(&mut self) -> VecDeque<Bytes> {
        self.bytes = 0;
        std::mem::take(&mut self.frames)
    }

    /// Nobody reads any more, so nobody is to wait for that.
    pub(super) fn abandon(&mut self) {
        if let Bound::Bytes { pause, .. } = &mut self.bound {
            *pause = Duration::ZERO;
        }
        self.pressure = Pressure::None;
    }

    /// An ordinary queue always makes room; a single frame always has some.
    pub(super) fn has_room(&self, frame: &Bytes) -> bool {
        match self.bound {
            Bound::Frames(_) => true,
            Bound::Bytes { most, .. } => self.frames.is_empty() || self.bytes + cost(frame) <= most,
        }
    }

    /// Is the reader of a full queue given more time? The first that asks starts the clock.
    pub(super) fn is_waited_for(&mut self, now: Instant) -> bool {
        let Bound::Bytes { pause, .. } = self.bound else { return false };
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
        let Bound::Bytes { most, .. } = self.bound else { return false };
        let has_room = self.frames.is_empty() || self.bytes <= most - most / ROOM_PART;
        has_room && std::mem::replace(&mut self.pressure, Pressure::None) != Pressure::None
    }

    fn append(&mut self, frame: Bytes) {
        self.bytes += cost(&frame);
        self.added += 1;
        self.frames.push_back(frame);
    }

    fn trim(&mut self) {
        while self.is_over() && self.pop().is_some() {
            self.lost += 1;
            match self.bound {
                Bound::Frames(_) => self.tally.ordinary.add(1),
                Bound::Bytes { .. } => self.tally.lossless.add(1),
            }
            let events = self.dropped.again(Instant::now());
            self.say_lost(events);
        }
    }

    fn is_over(&self) -> bool {
        match self.bound {
            Bound::Frames(most) => self.frames.len() > most,
            Bound::Bytes { most, .. } => self.bytes > most,
        }
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
        queue.rename("reader", Bound::Bytes { most, pause: 10 * SECOND, in_socket: 0 });
        queue
    }

    fn large(first: u8) -> Bytes {
        let mut bytes = vec![0; 1 << 20];
        bytes[0] = first;
        bytes.into()
    }

    fn first_bytes(queue: &mut Queue) -> Vec<u8> {
        std::iter::from_fn(|| queue.pop()).map(|frame| frame[0]).collect()
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
        assert_eq!(queue.pop(), Some(number(surplus)));
        assert_eq!(queue.clear().back(), Some(&number(MAX_OUTBOUND_FRAMES + surplus - 1)));
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
        queue.pop();
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
