//! Frames that are written with one system call, and the frames that the client may not have read yet.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::notice::{BUS_NAME, Notice};
use crate::protocol::{Verb, encode};

/// Encoded frames, written in order without copying.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: VecDeque<Bytes>,
    /// The number of bytes of the first frame that are already written.
    offset: usize,
    /// The number of frames completely written since the connection began.
    written: u64,
    tail: Tail,
}

/// The frames that were completely written last.
#[derive(Debug, Default)]
struct Tail {
    frames: VecDeque<Bytes>,
    bytes: usize,
    wanted_bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.frames.push_back(frame);
    }

    /// Adds a notice. Notices are not passed to a successor.
    pub(super) fn push_notice(&mut self, notice: &Notice) {
        let body = serde_json::to_vec(notice).expect("a notice always serializes");
        let mut frame = Vec::new();
        encode(&mut frame, Verb::Hello, BUS_NAME, &body).expect("a notice is a small frame");
        self.frames.push_back(frame.into());
    }

    /// Keeps at least this many of the bytes written last: all that the socket may still hold.
    pub(super) fn retain_written(&mut self, bytes: usize) {
        self.tail.wanted_bytes = bytes;
    }

    /// Returns the frames that a disconnected reader has not received: those not completely written and, if it reported
    /// how many frames it `received`, those written beyond them.
    pub(super) fn into_unread(mut self, received: Option<u64>) -> VecDeque<Bytes> {
        let unread = received
            .and_then(|received| self.written.checked_sub(received))
            .and_then(|n| usize::try_from(n).ok());
        let start = unread.and_then(|unread| self.tail.frames.len().checked_sub(unread));
        let mut kept = self.tail.frames.split_off(start.unwrap_or(self.tail.frames.len()));
        kept.append(&mut self.frames);
        kept.retain(|frame| !frame.starts_with(Verb::Hello.as_str().as_bytes()));
        kept
    }

    fn finish_first(&mut self) {
        let Some(frame) = self.frames.pop_front() else { return };
        self.offset = 0;
        self.written += 1;
        if self.tail.wanted_bytes > 0 {
            self.tail.push(frame);
        }
    }
}

impl Tail {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while let Some(oldest) = self.frames.front()
            && self.bytes - oldest.len() >= self.wanted_bytes
        {
            self.bytes -= oldest.len();
            self.frames.pop_front();
        }
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.frames.iter().map(Bytes::len).sum::<usize>() - self.offset
    }

    fn has_remaining(&self) -> bool {
        !self.frames.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.frames.front().map_or(&[], |frame| &frame[self.offset..])
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        let mut offset = self.offset;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame[offset..]);
            offset = 0;
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.frames.front() {
            let rest = first.len() - self.offset;
            if written < rest {
                self.offset += written;
                return;
            }
            written -= rest;
            self.finish_first();
        }
        assert_eq!(written, 0, "cannot advance beyond the end");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(texts: &[&'static str]) -> Batch {
        let mut batch = Batch::default();
        texts.iter().for_each(|text| batch.push(Bytes::from_static(text.as_bytes())));
        batch
    }

    #[test]
    fn batch_advances_over_frames_and_within_them() {
        let mut batch = batch(&["abc", "de", "f"]);
        batch.advance(1);
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(batch.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (b"bc".as_slice(), b"de".as_slice()));
        batch.advance(3);
        assert_eq!((batch.chunk(), batch.remaining()), (b"e".as_slice(), 2));
        batch.advance(2);
        assert!(!batch.has_remaining());
    }

    /// A reader counts notices among the frames that it has received.
    #[test]
    fn notices_are_not_passed_to_a_successor() {
        let mut batch = Batch::default();
        batch.retain_written(1 << 10);
        batch.push_notice(&Notice::default());
        batch.push(Bytes::from_static(b"EVT a"));
        batch.push(Bytes::from_static(b"EVT b"));
        batch.advance(batch.remaining());
        batch.push_notice(&Notice { refused: None, lost: 1 });
        batch.push(Bytes::from_static(b"EVT c"));
        assert_eq!(batch.into_unread(Some(2)), ["EVT b", "EVT c"]);
    }

    #[test]
    fn unread_frames_are_returned_whole() {
        let unread = |held, advanced, received| {
            let mut batch = batch(&["ab", "cd", "ef", "gh"]);
            batch.retain_written(held);
            batch.advance(advanced);
            let text: Vec<u8> = batch.into_unread(received).into_iter().flatten().collect();
            String::from_utf8(text).unwrap()
        };
        assert_eq!(unread(0, 5, None), "efgh", "a half-written frame was not read");
        assert_eq!(unread(4, 5, None), "efgh");
        assert_eq!(unread(4, 5, Some(2)), "efgh");
        assert_eq!(unread(4, 5, Some(0)), "abcdefgh");
        assert_eq!(unread(3, 6, Some(1)), "cdefgh", "rounds up to whole frames");
        assert_eq!(unread(2, 6, Some(1)), "gh", "too little was kept to tell");
        assert_eq!(unread(4, 4, Some(3)), "efgh", "more received than written is impossible");
    }
}
