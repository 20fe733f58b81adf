//! Bytes read and not yet understood: small while little comes, large enough for many frames a read.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::codec::{MAX_READ_BYTES, missing};

const MIN_READ_BYTES: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct ReadBuffer {
    bytes: BytesMut,
    /// What the next read asks for; doubles when a read fills it.
    wanted: usize,
}

impl ReadBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: BytesMut::new(), wanted: MIN_READ_BYTES }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes that the frame that has begun needs still, as far as can be told.
    pub(super) fn missing(&self) -> usize {
        missing(&self.bytes)
    }

    /// Drops the first bytes.
    pub(super) fn skip(&mut self, len: usize) {
        bytes::Buf::advance(&mut self.bytes, len);
    }

    /// Takes the first bytes out, without copying them.
    pub(super) fn take(&mut self, len: usize) -> Bytes {
        self.bytes.split_to(len).freeze()
    }

    /// One read; 0 at the end of the stream. Loses nothing when it is cancelled.
    pub(super) async fn fill(&mut self, from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        self.make_room();
        let read = from.read_buf(&mut self.bytes).await?;
        if read >= self.wanted {
            self.wanted = (self.wanted * 2).min(MAX_READ_BYTES);
        }
        Ok(read)
    }

    fn make_room(&mut self) {
        let outgrown = self.bytes.is_empty() && self.bytes.capacity() > 2 * MAX_READ_BYTES;
        if outgrown {
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(self.wanted.max(missing(&self.bytes)));
    }
}
