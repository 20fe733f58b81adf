//! Frames on their way into one system call.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Encoded frames, written in order, none of them copied.
#[derive(Debug, Default)]
pub(super) struct Batch(VecDeque<Bytes>);

impl Batch {
    pub(super) fn push(&mut self, frame: Bytes) {
        self.0.push_back(frame);
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn has_remaining(&self) -> bool {
        !self.0.is_empty()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |frame| frame)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.0) {
            *slice = IoSlice::new(frame);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.0.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.0.pop_front();
        }
        assert_eq!(written, 0, "no more is written than there was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advances_over_frames_and_within_them() {
        let mut batch = Batch::default();
        for text in ["abc", "de", "f"] {
            batch.push(Bytes::from_static(text.as_bytes()));
        }
        let mut slices = [IoSlice::new(&[]); 2];
        assert_eq!(batch.chunks_vectored(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (b"abc".as_slice(), b"de".as_slice()));
        batch.advance(4);
        assert_eq!((batch.chunk(), batch.remaining()), (b"e".as_slice(), 2));
        batch.advance(2);
        assert!(!batch.has_remaining());
    }
}
